//! A cable between two namespaces, which can be cut, slowed down and counted.

use std::net::Ipv4Addr;

use super::namespace::{Namespace, run};

/// How a cable is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The lower end is down: whoever dials there is told at once that the network is unreachable.
    Down,
    /// Everything vanishes on the way, in both directions, and nobody is told.
    Silent,
}

/// A cable from a lower namespace up to a higher one, with an address at each end and no way to anywhere else.
#[derive(Debug)]
pub struct Uplink {
    lower: Namespace,
    upper: Namespace,
    /// 10.`net`.0.1 is the upper end, 10.`net`.0.2 the lower one.
    net: u8,
    /// What the cable is called at the lower and at the upper end.
    ends: [String; 2],
}

/// An address of hardware that nobody has.
const NOBODY: &str = "02:00:00:00:00:99";
/// A burst that a slow link lets through at once, in bytes.
const BURST: u64 = 32 * 1024;

impl Uplink {
    /// Lays a cable. `net` must not be used by another cable of either namespace.
    pub fn lay(lower: &Namespace, upper: &Namespace, net: u8) -> Self {
        let link = Self {
            lower: lower.clone(),
            upper: upper.clone(),
            net,
            ends: [format!("up{net}"), format!("down{net}")],
        };
        let [near, far] = &link.ends;
        let peer = ["peer", "name", far, "netns", upper.name()];
        let add = ["link", "add", near, "type", "veth"];
        lower.ip(&[&add[..], &peer].concat());
        for (namespace, end, address) in link.both() {
            let address = format!("{address}/30");
            namespace.ip(&["addr", "add", &address, "dev", end]);
            namespace.ip(&["link", "set", end, "up"]);
        }
        link
    }

    fn both(&self) -> [(&Namespace, &str, Ipv4Addr); 2] {
        [
            (&self.lower, &self.ends[0], self.lower_address()),
            (&self.upper, &self.ends[1], self.upper_address()),
        ]
    }

    /// The address of the upper end.
    pub fn upper_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.net, 0, 1)
    }

    /// The address of the lower end.
    pub fn lower_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.net, 0, 2)
    }

    /// How many bytes have come down it, as the lower end's interface counts: frames with all that wraps them.
    pub fn came_down(&self) -> u64 {
        self.lower.counted(&self.ends[0]).0
    }

    /// How many bytes have gone up it.
    pub fn went_up(&self) -> u64 {
        self.lower.counted(&self.ends[0]).1
    }

    /// Cuts it, until [`Uplink::mend`].
    pub fn cut(&self, cut: Cut) {
        match cut {
            Cut::Down => self.lower.ip(&["link", "set", &self.ends[0], "down"]),
            Cut::Silent => {
                let [(lower, near, below), (upper, far, above)] = self.both();
                let (below, above) = (below.to_string(), above.to_string());
                for (namespace, end, neighbour) in [(lower, near, above), (upper, far, below)] {
                    namespace.ip(&[
                        "neigh",
                        "replace",
                        &neighbour,
                        "lladdr",
                        NOBODY,
                        "dev",
                        end,
                        "nud",
                        "permanent",
                    ]);
                }
            }
        }
    }

    /// Mends it, however it was cut. Does nothing while it is whole.
    pub fn mend(&self) {
        for (namespace, end, _) in self.both() {
            namespace.ip(&["link", "set", end, "up"]);
            namespace.ip(&["neigh", "flush", "dev", end, "nud", "permanent"]);
            namespace.ip(&["neigh", "flush", "dev", end]);
        }
    }

    /// Lets so many bytes per second come down, in a flow without gaps; `None` as many as can. Needs `slow links`.
    pub fn throttle(&self, rate: Option<u64>) {
        let [_, (upper, far, _)] = self.both();
        let own = ["-n", upper.name(), "qdisc"];
        let Some(rate) = rate else {
            run("tc", &[&own[..], &["del", "dev", far, "root"]].concat()).ok();
            return;
        };
        // In bits, which tc's `bps` are not.
        let (rate, burst) = (format!("{}bit", rate * 8), BURST.to_string());
        let bucket = ["tbf", "rate", &rate, "burst", &burst, "latency", "200ms"];
        run(
            "tc",
            &[&own[..], &["replace", "dev", far, "root"], &bucket].concat(),
        )
        .unwrap();
    }
}

/// Whether links can be slowed down here: the program and the kernel's token bucket. Tried once.
pub(crate) fn can_be_slow() -> bool {
    static POSSIBLE: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        if !super::namespace::are_possible() || crate::need::find_program("tc").is_none() {
            return false;
        }
        let there = Namespace::new("try");
        let bucket = ["tbf", "rate", "1mbit", "burst", "32kb", "latency", "200ms"];
        let words = ["-n", there.name(), "qdisc", "add", "dev", "lo", "root"];
        run("tc", &[&words[..], &bucket].concat()).is_ok()
    });
    *POSSIBLE
}
