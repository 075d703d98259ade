//! A proxy as companies have them: it opens tunnels (`CONNECT`), and fetches what is not encrypted for its clients.

use std::net::SocketAddr;
use std::sync::Arc;

use cistern_tests::addresses;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The proxy. Whatever place it is asked for, it leads to one and the same.
pub(crate) struct Tunnel {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    heads: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Tunnel {
    /// One that leads to `place`.
    pub(crate) async fn to(place: SocketAddr) -> Self {
        let listener = TcpListener::bind((addresses::next(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, heads) = (Arc::default(), Arc::default());
        let (places, all) = (Arc::clone(&asked), Arc::clone(&heads));
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (places, all) = (Arc::clone(&places), Arc::clone(&all));
                tokio::spawn(async move { lead(socket, place, &places, &all).await });
            }
        });
        Self {
            address,
            asked,
            heads,
            accepting,
        }
    }

    /// `http://127.a.b.c:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `user:password@` in front of the address.
    pub(crate) fn url_with(&self, user: &str, password: &str) -> String {
        format!("http://{user}:{password}@{}", self.address)
    }

    /// The places it was asked for, `host:port`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    /// The heads of the requests to itself.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn lead(
    mut socket: TcpStream,
    place: SocketAddr,
    places: &Mutex<Vec<String>>,
    heads: &Mutex<Vec<String>>,
) -> Option<()> {
    let head = read_head(&mut socket).await?;
    let (method, rest) = head.split_once(' ')?;
    let (target, _) = rest.split_once(' ')?;
    heads.lock().push(head.clone());
    let mut there = TcpStream::connect(place).await.ok()?;
    if method == "CONNECT" {
        places.lock().push(target.to_owned());
        socket
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .await
            .ok()?;
    } else {
        let (host, path) = target.strip_prefix("http://")?.split_once('/')?;
        places.lock().push(host.to_owned());
        // One request per connection: what follows would name its place again.
        let head = head.replacen(target, &format!("/{path}"), 1);
        let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        there.write_all(head.as_bytes()).await.ok()?;
    }
    copy_bidirectional(&mut socket, &mut there).await.ok()?;
    Some(())
}

/// Up to the empty line, byte by byte: what follows belongs to the tunnel.
async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
