//! The rules that a test has laid down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::answer::Answer;
use super::record::{Request, matches};

/// One rule, as the test holds it: to limit, count or remove it.
#[derive(Clone, Debug)]
pub struct Rule {
    left: Arc<AtomicUsize>,
    used: Arc<AtomicUsize>,
}

impl Rule {
    /// Lets the rule apply this many times more, instead of for ever.
    pub fn limit(&self, count: usize) {
        self.left.store(count, Ordering::SeqCst);
    }

    /// The rule applies no more.
    pub fn remove(&self) {
        self.left.store(0, Ordering::SeqCst);
    }

    /// How often it has applied.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
pub(super) struct Script(Vec<Line>);

struct Line {
    method: String,
    path: String,
    answer: Answer,
    rule: Rule,
}

impl Script {
    pub(super) fn add(&mut self, method: &str, path: &str, answer: Answer) -> Rule {
        let rule = Rule {
            left: Arc::new(AtomicUsize::new(usize::MAX)),
            used: Arc::default(),
        };
        self.0.push(Line {
            method: method.to_owned(),
            path: path.to_owned(),
            answer,
            rule: rule.clone(),
        });
        rule
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn find(&self, request: &Request) -> Option<Answer> {
        let line = self.0.iter().find(|line| {
            line.rule.left.load(Ordering::SeqCst) > 0 && matches(request, &line.method, &line.path)
        })?;
        if line.rule.left.load(Ordering::SeqCst) != usize::MAX {
            line.rule.left.fetch_sub(1, Ordering::SeqCst);
        }
        line.rule.used.fetch_add(1, Ordering::SeqCst);
        Some(line.answer.clone())
    }
}
