//! What a pull costs over a poor link, in bytes and in seconds: one child, twenty at once, a cut, a kill of the gateway, a black hole.

mod child;
mod gateway;

use std::time::{Duration, Instant};

use cistern_tests::eventually;

use crate::figures::{Figure, Goal, Spread};
use crate::options::Options;
use crate::reader::Sending;
use crate::rounds::turns;
use crate::servers::runtime;
use child::Child;
use gateway::{Gateway, LAYER, Product, Site};

/// Bytes per second over the link.
const RATE: u64 = 20_000_000;
/// The same for many children: Distribution fetches a copy for each.
const WIDE: u64 = 100_000_000;
const CHILDREN: usize = 20;
/// How long the link is away.
const OUTAGE: Duration = Duration::from_secs(12);
/// Anything that takes longer than this has failed.
const LIMIT: Duration = Duration::from_mins(5);
/// Distribution may take this long to start.
const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// So much later a tag is older than `proxy.checkevery`.
const OUTDATED: Duration = Duration::from_millis(2500);
/// More rounds than this say nothing new about bytes.
const ROUNDS: usize = 3;

/// Every row of the table, both servers in turns.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let runtime = runtime();
    runtime.block_on(async {
        let child = Child::here().await;
        let site = Site::start().await;
        let mut tables = [Table::default(), Table::default()];
        let products = if options.without_distribution { 1 } else { 2 };
        for round in 0..options.rounds.min(ROUNDS) {
            for turn in turns(products, round) {
                let product = [Product::Cistern, Product::Distribution][turn];
                let run = Run {
                    site: &site,
                    child: &child,
                    product,
                };
                run.bytes(&mut tables[turn]).await;
                run.seconds(&mut tables[turn]).await;
            }
        }
        figures(tables)
    })
}

/// The rows: what is measured, in which unit, and the goal.
const ROWS: [(&str, &str, Goal); 9] = [
    (
        "over the link for one cold pull",
        IMAGES,
        Goal::AtMost(1.01),
    ),
    (
        "for twenty children at once, cold layer",
        IMAGES,
        Goal::AtMost(1.01),
    ),
    ("link cut for 12 s in mid-layer", IMAGES, Goal::AtMost(1.01)),
    (
        "pulls until one goes well then",
        "count",
        Goal::Exactly(1.0),
    ),
    ("gateway killed in mid-layer", IMAGES, Goal::AtMost(1.1)),
    ("pull of a cached image, the link open", "s", Goal::None),
    (
        "the same, the link a black hole: first",
        "s",
        Goal::AtMost(5.0),
    ),
    (
        "the same, the link a black hole: later",
        "s",
        Goal::AtMost(1.0),
    ),
    (
        "the same, after a restart in front of a black hole",
        "s",
        Goal::AtMost(5.0),
    ),
];
const IMAGES: &str = "× the image";

/// What was measured of one server, by row.
#[derive(Default)]
struct Table {
    cold: Cell,
    twenty: Cell,
    cut: Cell,
    cut_pulls: Cell,
    killed: Cell,
    open: Cell,
    first: Cell,
    later: Cell,
    restarted: Cell,
}

#[derive(Default)]
struct Cell {
    values: Vec<f64>,
    /// Why there is no value, if so.
    says: Option<String>,
}

impl Table {
    /// In the order of [`ROWS`].
    fn cells(self) -> [Cell; 9] {
        [
            self.cold,
            self.twenty,
            self.cut,
            self.cut_pulls,
            self.killed,
            self.open,
            self.first,
            self.later,
            self.restarted,
        ]
    }
}

impl Cell {
    fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    /// The values, if it never failed.
    fn spread(&self) -> Option<Spread> {
        Spread::of(self.values.iter().copied()).filter(|_| self.says.is_none())
    }
}

/// One server's turn.
struct Run<'a> {
    site: &'a Site,
    child: &'a Child,
    product: Product,
}

impl Run<'_> {
    async fn gateway(&self, rate: Option<u64>) -> Gateway {
        self.child.forget().await;
        let gateway = Gateway::start(self.site, self.product, self.child.wants_proxies()).await;
        gateway.relay.throttle(rate);
        gateway
    }

    /// Bytes over the link ÷ bytes of the image, once the link is quiet.
    async fn ratio(&self, gateway: &Gateway) -> f64 {
        loop {
            let before = gateway.relay.received();
            tokio::time::sleep(Duration::from_secs(1)).await;
            if gateway.relay.received() == before {
                return before as f64 / self.site.bytes() as f64;
            }
        }
    }

    async fn bytes(&self, table: &mut Table) {
        let gateway = self.gateway(Some(RATE)).await;
        self.child.pull_until_well(&gateway.door(), LIMIT).await;
        table.cold.push(self.ratio(&gateway).await);
        table.twenty.push(self.twenty().await);
        let (ratio, pulls) = self.cut().await;
        table.cut.push(ratio);
        table.cut_pulls.push(pulls as f64);
        table.killed.push(self.killed().await);
    }

    async fn twenty(&self) -> f64 {
        let gateway = self.gateway(Some(WIDE)).await;
        let herd = Sending {
            address: gateway.cache.address(),
            path: &self.site.layer_path(),
            size: self.site.layer().bytes.len() as u64,
            paces: vec![None; CHILDREN],
            limit: LIMIT,
        }
        .send();
        assert_eq!(herd.complete, CHILDREN, "{}", gateway.cache.log());
        assert!(herd.sample == self.site.layer().bytes, "other bytes");
        self.ratio(&gateway).await
    }

    /// Bytes, and how many pulls it took.
    async fn cut(&self) -> (f64, usize) {
        let gateway = self.gateway(Some(RATE)).await;
        gateway.relay.refuse_after(LAYER as u64 / 2);
        let door = gateway.door();
        let (pulls, ()) = tokio::join!(self.child.pull_until_well(&door, LIMIT), async {
            eventually("the cut", LIMIT, || async { gateway.relay.cuts() > 0 }).await;
            tokio::time::sleep(OUTAGE).await;
            gateway.relay.open();
        });
        (self.ratio(&gateway).await, pulls)
    }

    async fn killed(&self) -> f64 {
        let mut gateway = self.gateway(Some(RATE)).await;
        let (door, child) = (gateway.door(), self.child);
        tokio::join!(child.pull_until_well(&door, LIMIT), async {
            let Gateway { relay, cache, .. } = &mut gateway;
            let half = LAYER as u64 / 2;
            eventually("half of it", LIMIT, || async { relay.received() >= half }).await;
            cache.kill();
            cache.start().await;
        });
        self.ratio(&gateway).await
    }

    /// Pulls of a cached image while the link is a black hole.
    async fn seconds(&self, table: &mut Table) {
        let mut gateway = self.gateway(None).await;
        self.child.pull_until_well(&gateway.door(), LIMIT).await;
        self.ratio(&gateway).await;
        self.timed(&gateway, &mut table.open).await;
        tokio::time::sleep(OUTDATED).await;
        gateway.relay.swallow();
        // A pull that hung once hangs again, and is waited for once.
        if table.first.says.is_none() {
            self.timed(&gateway, &mut table.first).await;
            if table.first.says.is_none() {
                self.timed(&gateway, &mut table.later).await;
                self.timed(&gateway, &mut table.later).await;
            } else {
                table.later.says.clone_from(&table.first.says);
            }
        }
        gateway.cache.kill();
        match gateway.cache.try_start(STARTS_WITHIN).await {
            Ok(_) => self.timed(&gateway, &mut table.restarted).await,
            Err(why) => {
                eprintln!("  {:?}: {why}", self.product);
                let words = format!("does not start ({} s)", STARTS_WITHIN.as_secs());
                table.restarted.says = Some(words);
                gateway.cache.kill();
            }
        }
    }

    async fn timed(&self, gateway: &Gateway, cell: &mut Cell) {
        self.child.forget().await;
        let began = Instant::now();
        match self.child.pull(&gateway.door()).await {
            Ok(()) => cell.push(began.elapsed().as_secs_f64()),
            Err(why) => {
                eprintln!("  {:?}: {why}", self.product);
                let words = format!("fails ({:.0} s)", began.elapsed().as_secs_f64());
                cell.says = Some(words);
            }
        }
    }
}

fn figures([ours, theirs]: [Table; 2]) -> Vec<Figure> {
    let cells = ours.cells().into_iter().zip(theirs.cells());
    let rows = ROWS.into_iter().zip(cells);
    let figure = |((what, unit, goal), (our, their)): ((&str, _, _), (Cell, Cell))| Figure {
        what: what.to_owned(),
        unit,
        goal,
        cistern: our.spread(),
        nginx: None,
        distribution: their.spread(),
        distribution_says: their.says,
        noise: 0.0,
    };
    rows.map(figure).collect()
}
