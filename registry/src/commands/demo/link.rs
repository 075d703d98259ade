//! The uplink of the demonstration: a TCP connection that is slow, that counts what crosses it, and that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One slow link to one address.
#[derive(Clone)]
pub(super) struct Link {
    state: Arc<State>,
    address: SocketAddr,
    cut: CancellationToken,
}

struct State {
    to: SocketAddr,
    bytes_per_second: u64,
    crossed: AtomicU64,
    /// When the next byte may leave; shared, so that many connections together are as slow as one.
    free_at: Mutex<Instant>,
}

const PIECE: usize = 16 * 1024;

impl Link {
    /// Listens on a free loopback port and forwards to `to`; answers come back at `bytes_per_second` in all.
    pub(super) async fn open(
        to: SocketAddr,
        bytes_per_second: u64,
        tasks: &TaskTracker,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = State {
            to,
            bytes_per_second,
            crossed: AtomicU64::new(0),
            free_at: Mutex::new(Instant::now()),
        };
        let link = Self {
            state: Arc::new(state),
            address,
            cut: CancellationToken::new(),
        };
        let (accepting, connections) = (link.clone(), tasks.clone());
        tasks.spawn(async move {
            let accept = async {
                while let Ok((near, _)) = listener.accept().await {
                    let link = accepting.clone();
                    connections.spawn(async move {
                        link.cut.run_until_cancelled(link.state.carry(near)).await
                    });
                }
            };
            accepting.cut.run_until_cancelled(accept).await;
        });
        Ok(link)
    }

    /// Where the near end listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that have come back over it.
    pub(super) fn crossed(&self) -> u64 {
        self.state.crossed.load(Ordering::Relaxed)
    }

    /// Cuts it for good: what is open breaks, nothing new is accepted.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }
}

impl State {
    async fn carry(&self, near: TcpStream) -> std::io::Result<()> {
        let far = TcpStream::connect(self.to).await?;
        far.set_nodelay(true)?;
        near.set_nodelay(true)?;
        let (mut near_read, mut near_write) = near.into_split();
        let (mut far_read, mut far_write) = far.into_split();
        let there = async {
            tokio::io::copy(&mut near_read, &mut far_write).await?;
            far_write.shutdown().await
        };
        let back = async {
            let mut piece = vec![0; PIECE];
            loop {
                let length = far_read.read(&mut piece).await?;
                if length == 0 {
                    return near_write.shutdown().await;
                }
                self.wait_for_room(length).await;
                near_write
                    .write_all(piece.get(..length).unwrap_or_default())
                    .await?;
                self.crossed.fetch_add(length as u64, Ordering::Relaxed);
            }
        };
        tokio::try_join!(there, back).map(|_| ())
    }

    async fn wait_for_room(&self, length: usize) {
        let takes = Duration::from_nanos(length as u64 * 1_000_000_000 / self.bytes_per_second);
        let leaves_at = {
            let mut free_at = self.free_at.lock().await;
            let leaves_at = (*free_at).max(Instant::now());
            *free_at = leaves_at + takes;
            leaves_at
        };
        sleep_until(leaves_at).await;
    }
}
