//! Policies on when something may be changed. The time is that of the request, and nothing else.

use enact_core::action::EffectClass;
use enact_core::policy::Request;
use enact_core::time::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use crate::builtin::{Builtin, Judged, Judging, Made, Params, Refusal, Rule, policies};
use crate::read::may_write;
use crate::scope::Scope;
use crate::users::{check_roles, has_role};

/// Changes only within a window: `days`, `from` and `to`, or several of them in `windows`. Reads are free.
///
/// Times are those of a clock on a wall in `time_zone`. A window whose end is not after its start goes over midnight and
/// belongs to the day on which it starts. Where clocks are set back, an hour of a window comes twice and both are in it;
/// where they are set forward, it does not come.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithinMaintenanceWindow {
    /// A zone of the IANA database, such as `Europe/Berlin`, or `UTC`.
    pub time_zone: String,
    /// The days on which the window starts: `mon` to `sun`; every day, where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// When it starts, such as `22:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When it ends, exclusive, such as `04:00`; `24:00` is the day's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Several windows instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
}

/// One of several windows.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days on which it starts: `mon` to `sun`; every day, where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// When it starts, such as `22:00`.
    pub from: String,
    /// When it ends, exclusive, such as `04:00`; `24:00` is the day's end.
    pub to: String,
}

/// No changes during a freeze. Reads are free.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeFreezeActive {
    /// When it starts: a time of RFC 3339, or a date, which starts at the beginning of its day in `time_zone`.
    pub from: String,
    /// When it ends: a time of RFC 3339, exclusive, or a date, which ends at the end of its day in `time_zone`.
    pub until: String,
    /// A zone of the IANA database, where dates are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Users with one of these roles are free of it (attributes as in [`RequireUserRole`](crate::RequireUserRole)).
    #[serde(default)]
    pub exempt_roles: Vec<String>,
}

policies!(WithinMaintenanceWindow, CodeFreezeActive);

/// [`WithinMaintenanceWindow`], with one window.
#[must_use]
pub fn within_maintenance_window(days: &[&str], from: &str, to: &str, time_zone: &str) -> Builtin {
    WithinMaintenanceWindow {
        time_zone: time_zone.to_owned(),
        days: days.iter().map(|day| (*day).to_owned()).collect(),
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
        windows: Vec::new(),
    }
    .into()
}

/// [`CodeFreezeActive`], between two times of RFC 3339.
#[must_use]
pub fn code_freeze_active(from: &str, until: &str) -> Builtin {
    CodeFreezeActive { from: from.to_owned(), until: until.to_owned(), ..CodeFreezeActive::default() }.into()
}

/// A zone, by the rules that come with this crate, whatever the system has.
fn zone(name: &str) -> Result<TimeZone, String> {
    let wrong = |_| format!("'time_zone': '{name}' is no zone of the IANA database, such as Europe/Berlin");
    TimeZoneDatabase::bundled().get(name).map_err(wrong)
}

fn instant(at: Timestamp) -> Result<jiff::Timestamp, Refusal> {
    let us = i64::try_from(at.unix_us()).map_err(|_| "the time is past all calendars")?;
    jiff::Timestamp::from_microsecond(us).map_err(|_| "the time is past all calendars".into())
}

#[derive(Debug)]
struct Windows {
    zone: TimeZone,
    windows: Vec<Open>,
    text: String,
}

/// A window: seven days, Monday first, a start, and an end, which is nothing at the day's end.
#[derive(Debug)]
struct Open {
    days: [bool; 7],
    from: Time,
    to: Option<Time>,
}

impl Open {
    fn read(days: &[String], from: &str, to: &str) -> Result<Self, String> {
        let mut open = [days.is_empty(); 7];
        for day in days {
            let at = DAYS.iter().position(|names| names.contains(&day.to_lowercase().as_str()));
            let at = at.and_then(|at| open.get_mut(at));
            *at.ok_or_else(|| format!("'days': '{day}' is none of mon, tue, wed, thu, fri, sat and sun"))? =
                true;
        }
        let from = clock("from", from)?;
        let to = if to == "24:00" { None } else { Some(clock("to", to)?) };
        if to == Some(from) {
            return Err("'from' and 'to' are the same; for whole days write 00:00 and 24:00".into());
        }
        Ok(Self { days: open, from, to })
    }

    fn is_on(&self, day: Weekday) -> bool {
        usize::try_from(day.to_monday_zero_offset())
            .ok()
            .and_then(|at| self.days.get(at))
            .copied()
            .unwrap_or(false)
    }

    fn has(&self, day: Weekday, time: Time) -> bool {
        match self.to {
            None => self.is_on(day) && time >= self.from,
            Some(to) if self.from < to => self.is_on(day) && time >= self.from && time < to,
            // Over midnight: the evening of its day, or the morning after.
            Some(to) => (self.is_on(day) && time >= self.from) || (self.is_on(day.previous()) && time < to),
        }
    }
}

/// The days' names, Monday first.
const DAYS: [[&str; 2]; 7] = [
    ["mon", "monday"],
    ["tue", "tuesday"],
    ["wed", "wednesday"],
    ["thu", "thursday"],
    ["fri", "friday"],
    ["sat", "saturday"],
    ["sun", "sunday"],
];

/// Reads `HH:MM`.
fn clock(key: &str, text: &str) -> Result<Time, String> {
    let wrong = || format!("'{key}': '{text}' is no time of the day: write it as 09:30");
    let two = |digits: &str| match digits.len() {
        2 if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<i8>().ok(),
        _ => None,
    };
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let (hour, minute) = two(hour).zip(two(minute)).ok_or_else(wrong)?;
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

impl Rule for Windows {
    fn concerns(&self, _: &str, _: &str, effect: Option<EffectClass>) -> bool {
        may_write(effect)
    }

    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        let now = self.zone.to_datetime(instant(judging.request.now)?);
        if self.windows.iter().any(|window| window.has(now.weekday(), now.time())) {
            return Ok(());
        }
        let now = now.strftime("%a %H:%M");
        Err(format!("it is {now} in {}, outside of the maintenance windows", self.text).into())
    }
}

impl Params for WithinMaintenanceWindow {
    const NAME: &'static str = "within_maintenance_window";

    fn rule(&self, _: &Scope) -> Made {
        let windows = match (&self.from, &self.to, self.windows.is_empty()) {
            (Some(from), Some(to), true) => vec![Open::read(&self.days, from, to)?],
            (None, None, false) if self.days.is_empty() => {
                let read = |window: &Window| Open::read(&window.days, &window.from, &window.to);
                self.windows
                    .iter()
                    .map(read)
                    .collect::<Result<_, _>>()
                    .map_err(|wrong| format!("'windows': {wrong}"))?
            }
            (None, _, true) => return Err("'from' is missing".into()),
            (_, None, true) => return Err("'to' is missing".into()),
            _ => return Err("'windows' and 'days', 'from', 'to' exclude each other; give one of them".into()),
        };
        Ok(Box::new(Windows { zone: zone(&self.time_zone)?, windows, text: self.time_zone.clone() }))
    }
}

#[derive(Debug)]
struct Freeze {
    from: jiff::Timestamp,
    until: jiff::Timestamp,
    text: String,
    exempt_roles: Vec<String>,
}

impl Freeze {
    fn is_on(&self, request: &Request<'_>) -> Result<bool, Refusal> {
        let now = instant(request.now)?;
        Ok(now >= self.from && now < self.until)
    }
}

impl Rule for Freeze {
    fn concerns(&self, _: &str, _: &str, effect: Option<EffectClass>) -> bool {
        may_write(effect)
    }

    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        if !self.is_on(judging.request)? {
            return Ok(());
        }
        if !self.exempt_roles.is_empty() && has_role(judging.request.attributes, &self.exempt_roles)? {
            return Ok(());
        }
        Err(format!("nothing is changed until {}: there is a freeze", self.text).into())
    }
}

impl CodeFreezeActive {
    /// Reads a time, or the beginning of a day, or its end.
    fn read(&self, key: &str, text: &str, is_end: bool) -> Result<jiff::Timestamp, String> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(at);
        }
        let wrong = || {
            format!("'{key}': '{text}' is no time: write 2026-12-20T18:00:00Z, or a date such as 2026-12-20")
        };
        // A date reader would take more than a date, and leave the rest out.
        if text.len() != "2026-12-20".len() {
            return Err(wrong());
        }
        let date: Date = text.parse().map_err(|_| wrong())?;
        let name = self
            .time_zone
            .as_ref()
            .ok_or_else(|| format!("'{key}' is a date, so 'time_zone' has to be given"))?;
        let date = if is_end { date.tomorrow().map_err(|_| wrong())? } else { date };
        let midnight = date.to_datetime(Time::midnight());
        zone(name)?.to_timestamp(midnight).map_err(|_| wrong())
    }
}

impl Params for CodeFreezeActive {
    const NAME: &'static str = "code_freeze_active";

    fn rule(&self, _: &Scope) -> Made {
        if let Some(name) = &self.time_zone {
            zone(name)?;
        }
        let from = self.read("from", &self.from, false)?;
        let until = self.read("until", &self.until, true)?;
        if from >= until {
            return Err(format!("'until' ({}) is not after 'from' ({})", self.until, self.from));
        }
        check_roles("exempt_roles", &self.exempt_roles)?;
        let exempt_roles = self.exempt_roles.clone();
        Ok(Box::new(Freeze { from, until, text: self.until.clone(), exempt_roles }))
    }
}
