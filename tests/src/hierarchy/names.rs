//! The name server that docker runs inside a container, as far as the API proxy asks it: addresses of names, each good for ten minutes.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long an answer is good, in seconds: what docker says.
const LIFETIME: u32 = 600;
/// How often it looks whether it shall end.
const LOOKS: Duration = Duration::from_millis(200);

const ADDRESS: u16 = 1;
const NO_SUCH_NAME: u8 = 3;

/// The server. It ends when dropped.
#[derive(Debug)]
pub struct NameServer {
    ends: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl NameServer {
    pub(super) fn start(
        socket: UdpSocket,
        find: impl Fn(&str) -> Option<Ipv4Addr> + Send + 'static,
    ) -> Self {
        socket.set_read_timeout(Some(LOOKS)).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let mut question = [0; 512];
            while !told.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut question) else {
                    continue;
                };
                if let Some(answer) = answer(&question[..length], &find) {
                    socket.send_to(&answer, from).ok();
                }
            }
        });
        Self {
            ends,
            thread: Some(thread),
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// The answer to a message with one question (RFC 1035, section 4.1); none to what is no such message.
fn answer(message: &[u8], find: &impl Fn(&str) -> Option<Ipv4Addr>) -> Option<Vec<u8>> {
    let (name, end) = name_at(message, 12)?;
    let question = message.get(12..end + 4)?;
    let kind = u16::from_be_bytes([message[end], message[end + 1]]);
    let found = find(&name);
    let code = if found.is_none() { NO_SUCH_NAME } else { 0 };
    let address = found.filter(|_| kind == ADDRESS);
    let mut answer = message[..2].to_vec();
    // An answer, with recursion, to one question, with as many addresses as there are, and nothing else.
    answer.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::from(address.is_some()),
        0,
        0,
        0,
        0,
    ]);
    answer.extend(question);
    if let Some(address) = address {
        answer.extend([0xc0, 12, 0, 1, 0, 1]);
        answer.extend(LIFETIME.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// The name that begins at a place, and where it ends.
fn name_at(message: &[u8], mut place: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(place)?);
        place += 1;
        if length == 0 {
            return Some((labels.join("."), place));
        }
        let label = message.get(place..place + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        place += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: u8) -> Vec<u8> {
        let mut message = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(b"\x08registry\x05PLANT\x00");
        message.extend([0, kind, 0, 1]);
        message
    }

    #[test]
    fn it_tells_the_addresses_of_names_that_it_knows_and_that_there_are_no_others() {
        let find = |name: &str| (name == "registry.plant").then_some(Ipv4Addr::new(10, 1, 2, 3));
        let told = answer(&question(1), &find).unwrap();
        assert_eq!(&told[..8], &[7, 9, 0x81, 0x80, 0, 1, 0, 1]);
        assert!(
            told.ends_with(&[0, 0, 2, 88, 0, 4, 10, 1, 2, 3]),
            "{told:?}"
        );
        let sixth = answer(&question(28), &find).unwrap();
        assert_eq!(&sixth[2..8], &[0x81, 0x80, 0, 1, 0, 0]);
        let unknown = answer(&question(1), &|_: &str| None).unwrap();
        assert_eq!(&unknown[2..8], &[0x81, 0x83, 0, 1, 0, 0]);
        assert_eq!(answer(&[1, 2, 3], &find), None);
    }
}
