//! The table, for the terminal and as a page to keep.

use std::fmt::Write as _;

use cistern_tests::markdown;

use crate::figures::{Figure, Goal, Spread};
use crate::machine::Machine;
use crate::options::Options;

/// One figure as one line.
pub(crate) fn line(figure: &Figure) -> String {
    let [what, goal, cistern, nginx, distribution, ratio, verdict, _] = cells(figure);
    let nginx = figure
        .nginx
        .as_ref()
        .map_or_else(String::new, |_| format!("nginx {nginx} | "));
    format!(
        "{what}: {cistern} | {nginx}Distribution {distribution} | {ratio} (goal {goal}) {verdict}"
    )
}

const HEADS: [&str; 8] = [
    "measured",
    "goal",
    "Cistern",
    "nginx",
    "Distribution",
    "Cistern / nginx",
    "verdict",
    "others' load",
];

/// All figures as a markdown table.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut rows = vec![HEADS.map(str::to_owned)];
    rows.extend(figures.iter().map(cells));
    markdown::table(&rows)
}

/// The figures about a bad link as a markdown table.
pub(crate) fn link_table(figures: &[Figure]) -> String {
    let heads = [
        "measured",
        "goal",
        "Cistern",
        "Distribution 2.8.2",
        "verdict",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(figures.iter().map(|figure| {
        let [what, goal, cistern, _, distribution, _, verdict, _] = cells(figure);
        [what, goal, cistern, distribution, verdict]
    }));
    markdown::table(&rows)
}

/// The same as a part of the page that is kept, with where and how it was measured.
pub(crate) fn link_section(machine: &Machine, figures: &[Figure]) -> String {
    let mut section = String::new();
    for line in &machine.lines {
        writeln!(section, "- {line}").unwrap();
    }
    format!("{section}\n{}\n{HOW_OF_THE_LINK}", link_table(figures))
}

fn cells(figure: &Figure) -> [String; 8] {
    let ratio = figure
        .ratio()
        .map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let verdict = match figure.is_met() {
        Some(true) => "PASS",
        Some(false) => "miss",
        None => "",
    };
    [
        format!("{} ({})", figure.what, figure.unit),
        goal(figure.goal),
        spread(figure.cistern.as_ref()),
        spread(figure.nginx.as_ref()),
        match &figure.distribution_says {
            Some(words) => words.clone(),
            None => spread(figure.distribution.as_ref()),
        },
        ratio,
        verdict.to_owned(),
        format!("{:.0} %", figure.noise * 100.0),
    ]
}

fn goal(goal: Goal) -> String {
    match goal {
        Goal::AtLeastTimesNginx(factor) => format!("≥ {factor} × nginx"),
        Goal::AtMostTimesNginx(factor) => format!("≤ {factor} × nginx"),
        Goal::AtMost(limit) => format!("≤ {limit}"),
        Goal::Exactly(value) => format!("= {value}"),
        Goal::None => String::new(),
    }
}

fn spread(spread: Option<&Spread>) -> String {
    let Some(spread) = spread else {
        return "–".to_owned();
    };
    let (low, median, high) = (
        number(spread.low()),
        number(spread.median()),
        number(spread.high()),
    );
    if low == high {
        median
    } else {
        format!("{median} ({low} … {high})")
    }
}

/// Three figures that count.
fn number(value: f64) -> String {
    match value.abs() {
        1000.0.. => {
            let rounded = format!("{value:.0}");
            let (thousands, rest) = rounded.split_at(rounded.len() - 3);
            format!("{thousands},{rest}")
        }
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The page that is kept.
pub(crate) fn page(
    machine: &Machine,
    options: &Options,
    figures: &[Figure],
    of_the_link: &str,
) -> String {
    let mut page =
        "# Benchmark results\n\nWritten by `tests/bench/run`; do not edit.\n\n".to_owned();
    for line in &machine.lines {
        writeln!(page, "- {line}").unwrap();
    }
    writeln!(page, "\n{}", table(figures)).unwrap();
    writeln!(page, "{}", how(options)).unwrap();
    page.push_str("## A bad link\n\n");
    page.push_str(&markdown::marked("uplink", of_the_link));
    page
}

const HOW_OF_THE_LINK: &str = "\
Medians of the rounds (lowest … highest). Each server is a cache behind a relay that counts what comes from the upstream, Debian's
docker-registry on a store of its own; each measurement begins with an empty cache.

- The child is a docker daemon with a store of its own behind two API proxies (nginx as IoT Edge sets it up, two layers), which tries each
  download five times as docker does by itself; where the machine has no docker it is a plain HTTP client, asking the cache itself. The image
  has one layer of 40 MiB that does not compress. The twenty children are plain HTTP readers of that layer.
- Bytes are those that crossed the link, heads and all, until it has been quiet for a second, divided by those of manifest, config and layer. A
  pull that fails is done again until one goes well. The link carries 20 MB/s, 100 MB/s for the twenty.
- The cut ends every connection when half of the image has crossed, and refuses new ones for 12 s. The kill is SIGKILL at that moment, the start
  follows at once. A black hole accepts connections and never answers; open ones fall silent.
- Cached tags are asked for over four kept connections, at even intervals; each is older than `proxy.checkevery`.
";

fn how(options: &Options) -> String {
    format!(
        "Each value is the median of {} rounds (lowest … highest). In a round every server has its turn, each round another one first; the ratio is
the median of the ratios within each round. Clients, upstream and servers share the machine's cores. Rounds in which other programs used more
than 8 % of the machine are done again, at most three times as many rounds as wanted; the last column tells how much they used in the rounds that count.

- nginx serves static files (two workers, `sendfile`, `tcp_nopush`) in the warm scenarios and is a cache (`proxy_cache` with `proxy_cache_lock`,
  lock time-outs of an hour) in the cold ones. Distribution is a pull-through cache everywhere, its content warm where the scenario is.
  Access logs are off everywhere.
- Manifests are asked for by `wrk -t2`; a *fresh* tag is one that Cistern has checked within `proxy.checkevery`. Bodies are read by threads of the
  benchmark, 256 KiB at a time. Lengths are verified always, the digest only of one client's bytes and after the time was taken, because hashing fifty
  bodies would take the processor that is being measured.
- Processor time is user and system time of all processes of the server, from `/proc`. GB are 10⁹ bytes. First bytes are those of the body.
- Cold blobs come from an upstream inside the benchmark, from memory; the uplink is a relay whose way back is shared by all connections.
  Distribution's herd behind the uplink is given up after five times the ideal time, which then stands as its figure.
- Memory of nginx is that of all its processes added up, shared pages counted more than once.
",
        options.rounds
    )
}
