//! Cron schedules: five fields in a time zone, the next time after an instant, and the last one
//! up to an instant.
//!
//! Where clocks change, each wall-clock time of a schedule counts:
//!
//! * A time that the clock skips in spring comes at the first instant after the gap. However many
//!   times fall into one gap, that instant comes once.
//! * A time that the clock shows twice in autumn comes once, the first time round, unless the
//!   schedule is an interval, which is one whose minute or hour has a `*` or a step. That comes
//!   both times round, so that no two of its times are further apart than usual.
//!
//! It must never read a clock, the environment, a file or the system's time zones: instants are
//! arguments, and zones come from the table compiled in. Every search has a bound.

mod calendar;
mod field;
mod parse;
mod schedule;

pub use schedule::Schedule;
