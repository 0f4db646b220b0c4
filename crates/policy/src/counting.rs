//! Policies on how much is done.

use std::time::Duration;

use enact_core::action::EffectClass;
use enact_core::policy::Counted;
use enact_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::builtin::{Builtin, Judged, Judging, Made, Params, Rule, policies};
use crate::duration;
use crate::read::may_write;
use crate::scope::{Pattern, Scope};

/// The longest time that a limit looks back: what was admitted has to be remembered as long.
const MAX_PER: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// No run of more actions than this. All that the run asked for counts, what was refused, read or done already too. With
/// `connectors` or `actions`, only those count and are limited.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxActionsPerRun {
    /// The most actions.
    pub max: u64,
    /// Whether only actions that change something count, and are limited.
    #[serde(default)]
    pub writes_only: bool,
}

/// No more actions than so many within some time, over all runs and over restarts: of all, or of each user, connector and
/// action on its own. An action counts when it is admitted, whatever becomes of it, and once, however often it is tried.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The most actions within `per`.
    pub max: u64,
    /// The time: `30s`, `1m`, `24h`, `7d`; at most 31 days.
    pub per: String,
    /// Of what each is counted on its own; all are counted together, where nothing is named.
    #[serde(default)]
    pub by: Vec<By>,
}

/// Of what each is counted on its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The user who asked for the run.
    User,
    /// The connector.
    Connector,
    /// The action's name.
    Action,
}

policies!(MaxActionsPerRun, RateLimit);

/// [`MaxActionsPerRun`], of any kind.
#[must_use]
pub fn max_actions_per_run(max: u64) -> Builtin {
    MaxActionsPerRun { max, writes_only: false }.into()
}

/// [`RateLimit`]: so many within a time such as `1h`, of all or of each.
#[must_use]
pub fn rate_limit(max: u64, per: &str, by: impl IntoIterator<Item = By>) -> Builtin {
    RateLimit { max, per: per.to_owned(), by: by.into_iter().collect() }.into()
}

fn check_max(max: u64) -> Result<(), String> {
    if max == 0 {
        return Err("'max' is 0; to forbid actions, leave them out of allowed_actions".into());
    }
    Ok(())
}

#[derive(Debug)]
struct MaxActions {
    max: u64,
    writes_only: bool,
}

impl Rule for MaxActions {
    fn concerns(&self, _: &str, _: &str, effect: Option<EffectClass>) -> bool {
        !self.writes_only || may_write(effect)
    }

    fn judge(&self, scope: &Scope, judging: &Judging<'_>) -> Judged {
        let counts = |effect| !self.writes_only || may_write(Some(effect));
        let past = judging
            .request
            .past()
            .filter(|past| counts(past.call.effect) && scope.has(&past.call.connector, &past.call.action));
        let before = past.count() as u64;
        if before >= self.max {
            let which = if scope.is_all() { "" } else { " of this kind" };
            return Err(
                format!("the run has asked for {before} actions{which}, and may for {}", self.max).into()
            );
        }
        Ok(())
    }
}

impl Params for MaxActionsPerRun {
    const NAME: &'static str = "max_actions_per_run";

    fn rule(&self, _: &Scope) -> Made {
        check_max(self.max)?;
        Ok(Box::new(MaxActions { max: self.max, writes_only: self.writes_only }))
    }
}

#[derive(Debug)]
struct Limit {
    max: u64,
    per: Duration,
    text: String,
    by: Vec<By>,
    /// All that the policy is for.
    patterns: Vec<Pattern>,
}

impl Limit {
    /// What is counted for an action. What stands in two patterns counts twice, which is the safe side.
    fn counted<'a>(&'a self, judging: &Judging<'a>) -> Vec<Counted<'a>> {
        let mut all: Vec<Counted<'a>> = Vec::with_capacity(self.patterns.len());
        let action = judging.action;
        let (by_connector, by_action) = (self.by.contains(&By::Connector), self.by.contains(&By::Action));
        for pattern in &self.patterns {
            let other = |named: &Option<String>, own: &str| named.as_ref().is_some_and(|named| named != own);
            if (by_connector && other(&pattern.connector, action.connector))
                || (by_action && other(&pattern.action, action.action))
            {
                continue;
            }
            let counted = Counted {
                user: self.by.contains(&By::User).then_some(judging.request.user),
                connector: if by_connector { Some(action.connector) } else { pattern.connector.as_deref() },
                action: if by_action { Some(action.action) } else { pattern.action.as_deref() },
            };
            if !all.contains(&counted) {
                all.push(counted);
            }
        }
        all
    }
}

impl Rule for Limit {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        let now = judging.request.now;
        let per_us = u64::try_from(self.per.as_micros()).unwrap_or(u64::MAX);
        let since = Timestamp::from_unix_us(now.unix_us().saturating_sub(per_us));
        let counted = self.counted(judging);
        let count =
            counted.iter().map(|of| judging.request.recent.count(of, since)).fold(0, u64::saturating_add);
        if count >= self.max {
            let reason = format!(
                "{count} actions within {} are there already, of {} that may be",
                self.text, self.max
            );
            return Err(reason.into());
        }
        Ok(())
    }

    fn looks_back(&self) -> Duration {
        self.per
    }
}

impl Params for RateLimit {
    const NAME: &'static str = "rate_limit";

    fn rule(&self, scope: &Scope) -> Made {
        check_max(self.max)?;
        let per = duration::read(&self.per).map_err(|wrong| format!("'per': {wrong}"))?;
        if per > MAX_PER {
            return Err(format!("'per': '{}' is more than 31 days", self.per));
        }
        if self.by.iter().enumerate().any(|(at, by)| self.by.iter().skip(at + 1).any(|other| other == by)) {
            return Err("'by' names something twice".into());
        }
        let patterns = scope.spelled_out();
        if patterns.is_empty() {
            return Err("'actions' and 'connectors' have nothing in common".into());
        }
        Ok(Box::new(Limit { max: self.max, per, text: self.per.clone(), by: self.by.clone(), patterns }))
    }
}
