//! What was measured, and what it was to be.

/// A measured value over several rounds.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    samples: Vec<f64>,
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// At least this many times nginx's value.
    AtLeastTimesNginx(f64),
    /// At most this many times nginx's value.
    AtMostTimesNginx(f64),
    /// At most this value.
    AtMost(f64),
    /// Exactly this value, in every round.
    Exactly(f64),
    /// Told for comparison only.
    None,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: String,
    /// In which unit.
    pub(crate) unit: &'static str,
    pub(crate) goal: Goal,
    pub(crate) cistern: Option<Spread>,
    pub(crate) nginx: Option<Spread>,
    pub(crate) distribution: Option<Spread>,
    /// What is told of Distribution where it has no value.
    pub(crate) distribution_says: Option<String>,
    /// How much of the machine other programs used meanwhile, 0 to 1.
    pub(crate) noise: f64,
}

// === impl Spread ===

impl Spread {
    /// Of these samples, in the order of the rounds; `None` if there are none.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let samples: Vec<f64> = samples.into_iter().collect();
        (!samples.is_empty()).then_some(Self { samples })
    }

    pub(crate) fn median(&self) -> f64 {
        median(self.samples.clone())
    }

    pub(crate) fn low(&self) -> f64 {
        self.samples.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn high(&self) -> f64 {
        self.samples
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max)
    }
}

/// The middle value.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => f64::NAN,
        values if values.len() % 2 == 1 => values[middle],
        values => f64::midpoint(values[middle - 1], values[middle]),
    }
}

// === impl Figure ===

impl Figure {
    /// The median over the rounds of Cistern's value divided by nginx's of the same round.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (ours, theirs) = (self.cistern.as_ref()?, self.nginx.as_ref()?);
        let pairs = ours.samples.iter().zip(&theirs.samples);
        Some(median(pairs.map(|(ours, theirs)| ours / theirs).collect()))
    }

    /// Whether the goal is met, if there is one.
    pub(crate) fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::AtLeastTimesNginx(factor) => Some(self.ratio()? >= factor),
            Goal::AtMostTimesNginx(factor) => Some(self.ratio()? <= factor),
            Goal::AtMost(limit) => Some(self.cistern.as_ref()?.median() <= limit),
            Goal::Exactly(value) => {
                let ours = self.cistern.as_ref()?;
                let is = |measured: f64| (measured - value).abs() < 1e-9;
                Some(is(ours.low()) && is(ours.high()))
            }
            Goal::None => None,
        }
    }
}
