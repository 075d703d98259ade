//! What all connections of a link share: whether it is open, what has crossed, and what is to happen when so much has.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// A link that was idle, or whose thread woke late, may catch up by this much: without it every late wake would lower the rate.
const CATCHES_UP: Duration = Duration::from_millis(10);

/// How the link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Open,
    Refusing,
    Silent,
}

/// What happens when what was planned is due. All but silence ends every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Open,
    Again { every: u64 },
    Refuse,
    Silence,
}

/// So many bytes may cross now, and then this is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passage {
    pub(super) bytes: usize,
    pub(super) then: Option<After>,
}

/// See [`super::Relay`].
#[derive(Debug, Default)]
pub(super) struct Way {
    shared: Mutex<Shared>,
    opened: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    state: State,
    pub(super) listens_at: Option<SocketAddr>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) connections: u64,
    pub(super) cuts: u64,
    /// At which count of received bytes what happens.
    plan: Option<(u64, After)>,
    /// Near ends of the connections that live, by their number.
    living: BTreeMap<u64, TcpStream>,
    /// Bytes per second from the upstream, and when the next one may cross.
    rate: Option<u64>,
    free_at: Option<Instant>,
}

impl Way {
    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock()
    }

    pub(super) fn refuses(&self) -> bool {
        self.lock().state == State::Refusing
    }

    pub(super) fn throttle(&self, rate: Option<u64>) {
        self.lock().rate = rate;
    }

    pub(super) fn plan(&self, bytes: u64, after: After) {
        let mut shared = self.lock();
        shared.plan = Some((shared.received + bytes.max(1), after));
    }

    /// Sets the state and says which one it was before.
    pub(super) fn set_state(&self, state: State) -> State {
        let before = std::mem::replace(&mut self.lock().state, state);
        self.opened.notify_all();
        before
    }

    pub(super) fn cut(&self) {
        self.lock().end_connections();
        self.opened.notify_all();
    }

    pub(super) fn refuse(&self) {
        let listened_at = {
            let mut shared = self.lock();
            shared.state = State::Refusing;
            shared.end_connections();
            shared.listens_at.take()
        };
        self.opened.notify_all();
        // A knock: whoever accepts sees that it should not.
        if let Some(address) = listened_at {
            TcpStream::connect(address).ok();
        }
    }

    /// What was planned has come.
    pub(super) fn happen(&self, after: After) {
        match after {
            After::Open | After::Again { .. } => self.cut(),
            After::Refuse => self.refuse(),
            // It fell silent when that was seen: see `Shared::take`.
            After::Silence => {}
        }
    }

    /// A new connection, with its number; `None` while there are none.
    pub(super) fn join(&self, near: &TcpStream) -> Option<u64> {
        let near = near.try_clone().ok()?;
        let mut shared = self.lock();
        if shared.state == State::Refusing {
            return None;
        }
        shared.connections += 1;
        let life = shared.connections;
        shared.living.insert(life, near);
        Some(life)
    }

    pub(super) fn leave(&self, life: u64) {
        self.lock().living.remove(&life);
    }

    /// Waits until the link is not silent; whether this connection lives then.
    pub(super) fn is_open(&self, life: u64) -> bool {
        self.wait_open(life).is_some()
    }

    fn wait_open(&self, life: u64) -> Option<MutexGuard<'_, Shared>> {
        let mut shared = self.lock();
        while shared.state == State::Silent && shared.living.contains_key(&life) {
            self.opened.wait(&mut shared);
        }
        shared.living.contains_key(&life).then_some(shared)
    }

    /// Lets these bytes cross to the upstream; `None` when the connection was cut.
    pub(super) fn send(&self, life: u64, count: usize) -> Option<Passage> {
        self.wait_open(life)?.sent += count as u64;
        Some(Passage {
            bytes: count,
            then: None,
        })
    }

    /// Lets bytes cross from the upstream, at the rate of the link and no further than to where something is planned.
    pub(super) fn receive(&self, life: u64, count: usize) -> Option<Passage> {
        let mut shared = self.wait_open(life)?;
        let passage = shared.take(count);
        let there = shared.crossed_at(passage.bytes);
        drop(shared);
        if let Some(there) = there {
            thread::sleep(there.saturating_duration_since(Instant::now()));
        }
        Some(passage)
    }
}

impl Shared {
    fn end_connections(&mut self) {
        self.cuts += 1;
        for near in std::mem::take(&mut self.living).into_values() {
            near.shutdown(Shutdown::Both).ok();
        }
    }

    /// Counts what crosses of so many bytes.
    fn take(&mut self, count: usize) -> Passage {
        let mut passage = Passage {
            bytes: count,
            then: None,
        };
        if let Some((at, after)) = self.plan
            && self.received + count as u64 >= at
        {
            passage.bytes = usize::try_from(at - self.received).unwrap();
            passage.then = Some(after);
            if after == After::Silence {
                self.state = State::Silent;
            }
            self.plan = match after {
                After::Again { every } => Some((at + every, after)),
                After::Open | After::Refuse | After::Silence => None,
            };
        }
        self.received += passage.bytes as u64;
        passage
    }

    /// When they have crossed, if the link has a rate.
    fn crossed_at(&mut self, bytes: usize) -> Option<Instant> {
        let takes = Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.rate?);
        let earliest = Instant::now().checked_sub(CATCHES_UP);
        let free_at = self.free_at.into_iter().chain(earliest).max()?;
        self.free_at = Some(free_at + takes);
        self.free_at
    }
}
