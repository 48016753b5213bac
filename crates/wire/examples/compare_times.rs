//! Whether the time of a comparison tells how much of a guess was right: `cargo run --release
//! -p dunlin-wire --example compare_times`. A million tries of each kind, in random order, of the
//! function that compares and of the verification of a whole webhook. Prints means and Welch's t;
//! fails where |t| reaches 4.5, and where a comparison that is known to leak is not found out. One
//! kind is there twice, so that what the program itself brings in is seen too.
//!
//! Guesses are made many at a time, long before they are tried: how one of them was made (which
//! bytes were written last, which branch was taken) would otherwise be in the first nanoseconds of
//! its own try. Before the clock starts, a try does the same whatever its kind: so many bytes are
//! copied to the one place that all tries read. What took longer than 99 of 100 tries of the
//! subject, of whichever kind, is left out: interrupts.

use std::hint::black_box;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dunlin_types::{Timestamp, constant_time_eq};
use dunlin_wire::standard_webhooks::{SignatureHeaders, WebhookKey, verify};

const TRIES: usize = 1_000_000;
const T_MAX: f64 = 4.5;
/// Of a hundred tries, those that count.
const KEPT_PERCENT: usize = 99;
/// Calls of a bare function in one try, which alone would be shorter than the clock's own time.
const CALLS: usize = 16;

/// Guesses that are made at a time.
const BATCH: usize = 1024;

/// Names, and how many bytes of the guess are right.
const KINDS: [(&str, usize); 5] = [
    ("first byte differs", 0),
    ("the same again", 0),
    ("half matches", 16),
    ("last byte differs", 31),
    ("equal", 32),
];

/// Pseudo-random numbers, the same in each run (xorshift64*).
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One that agrees with `right` for so many bytes, and not in the byte after.
    fn guess(&mut self, right: &[u8; 32], matching: usize) -> [u8; 32] {
        let mut guess = [0_u8; 32];
        for part in guess.chunks_exact_mut(8) {
            part.copy_from_slice(&self.draw().to_le_bytes());
        }
        guess[..matching].copy_from_slice(&right[..matching]);
        if let (Some(guessed), Some(right)) = (guess.get_mut(matching), right.get(matching)) {
            *guessed = right ^ (1 << (self.draw() % 8));
        }
        guess
    }
}

/// Nanoseconds of tries, by kind.
type Times = [Vec<u32>; KINDS.len()];

/// Tries every kind equally often, in random order. `write` gives a guess the form that the subject
/// reads, and the subject the time that it took to judge one.
fn measure<const N: usize>(
    right: &[u8; 32],
    write: impl Fn(&[u8; 32]) -> [u8; N],
    mut subject: impl FnMut(&[u8; N]) -> u32,
) -> Times {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut order: Vec<u8> = (0..TRIES * KINDS.len())
        .map(|n| (n % KINDS.len()) as u8)
        .collect();
    for last in (1..order.len()).rev() {
        let other = random.draw() % (last as u64 + 1);
        order.swap(last, other as usize);
    }
    let mut place = [0_u8; N];
    let mut try_all = |guesses: &[[u8; N]], took: &mut Vec<u32>| {
        took.clear();
        for guess in guesses {
            place.copy_from_slice(guess);
            fence(Ordering::SeqCst);
            took.push(subject(&place));
        }
    };
    let mut times = Times::default();
    let mut guesses = Vec::with_capacity(BATCH);
    let mut took = Vec::with_capacity(BATCH);
    // The first batches find the caches cold.
    for (number, batch) in order[..BATCH * 20]
        .chunks(BATCH)
        .chain(order.chunks(BATCH))
        .enumerate()
    {
        guesses.clear();
        guesses.extend(batch.iter().map(|kind| {
            let guess = random.guess(right, KINDS[usize::from(*kind)].1);
            write(&guess)
        }));
        try_all(&guesses, &mut took);
        if number >= 20 {
            for (kind, took) in batch.iter().zip(&took) {
                times[usize::from(*kind)].push(*took);
            }
        }
    }
    times
}

struct Figures {
    count: f64,
    mean: f64,
    variance: f64,
}

fn figures(times: &Times) -> [Figures; KINDS.len()] {
    let mut all: Vec<u32> = times.iter().flatten().copied().collect();
    let at = all.len() * KEPT_PERCENT / 100;
    let (_, cut, _) = all.select_nth_unstable(at);
    let cut = *cut;
    times.each_ref().map(|times| {
        let kept = || {
            times
                .iter()
                .filter(|ns| **ns <= cut)
                .map(|ns| f64::from(*ns))
        };
        let count = kept().count() as f64;
        let mean = kept().sum::<f64>() / count;
        let variance = kept().map(|ns| (ns - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Figures {
            count,
            mean,
            variance,
        }
    })
}

fn welch(a: &Figures, b: &Figures) -> f64 {
    (a.mean - b.mean) / (a.variance / a.count + b.variance / b.count).sqrt()
}

/// Prints a subject's figures and gives its largest |t| among the first so many kinds.
fn report(name: &str, times: &Times, compared: usize) -> std::io::Result<f64> {
    let figures = figures(times);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{name}")?;
    for ((kind, _), figures) in KINDS.iter().zip(&figures) {
        writeln!(
            out,
            "  {kind:<20} {:>9.2} ns   sd {:>7.2}   n {}",
            figures.mean,
            figures.variance.sqrt(),
            figures.count
        )?;
    }
    let mut worst = 0.0_f64;
    for (n, one) in figures.iter().enumerate() {
        for (m, other) in figures.iter().enumerate().skip(n + 1) {
            let t = welch(one, other);
            let counts = m < compared;
            if counts {
                worst = worst.max(t.abs());
            }
            let note = if counts { "" } else { "   (the answer tells)" };
            writeln!(out, "  t {t:>8.2}   {} / {}{note}", KINDS[n].0, KINDS[m].0)?;
        }
    }
    Ok(worst)
}

/// What must not be used, and must be found out.
#[inline(never)]
fn leaks(claimed: &[u8], right: &[u8]) -> bool {
    claimed.len() == right.len() && claimed.iter().zip(right).all(|(a, b)| black_box(a) == b)
}

/// Times of a bare function that compares.
fn bare(right: &[u8; 32], compare: fn(&[u8], &[u8]) -> bool) -> Times {
    let subject = |guess: &[u8; 32]| {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(compare(black_box(guess), black_box(right)));
        }
        start.elapsed().as_nanos() as u32
    };
    measure(right, |guess| *guess, subject)
}

/// Times of the verification of a webhook, from its headers on.
fn whole() -> Option<Times> {
    const ID: &str = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
    const BODY: &[u8] = br#"{"type":"payment.succeeded","data":{"amount":5390,"currency":"EUR"}}"#;
    let now = Timestamp::from_ms(1_800_000_000_000);
    let key = WebhookKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").ok()?;
    let signature = key.sign(ID, now, BODY)?;
    let right: [u8; 32] = BASE64
        .decode(signature.strip_prefix("v1,")?)
        .ok()?
        .try_into()
        .ok()?;
    let timestamp = now.secs().to_string();
    let write = |guess: &[u8; 32]| {
        let mut text = *b"v1,                                            ";
        let written = BASE64.encode_slice(guess, &mut text[3..]);
        assert_eq!(written, Ok(text.len() - 3), "32 bytes are 44 characters");
        text
    };
    let subject = |text: &[u8; 47]| {
        let headers = SignatureHeaders {
            id: Some(ID),
            timestamp: Some(&timestamp),
            signature: std::str::from_utf8(text).ok(),
        };
        let start = Instant::now();
        let verified = verify([&key], black_box(headers), black_box(BODY), now);
        let took = start.elapsed().as_nanos() as u32;
        black_box(verified.is_ok());
        took
    };
    Some(measure(&right, write, subject))
}

fn main() -> std::io::Result<ExitCode> {
    let right = Random(7).guess(&[0; 32], 0);
    let mut out = std::io::stdout();
    let Some(whole) = whole() else {
        writeln!(out, "the webhook cannot be signed")?;
        return Ok(ExitCode::FAILURE);
    };
    let all = KINDS.len();
    let leaked = report("one that leaks (control)", &bare(&right, leaks), all)?;
    let name = format!("constant_time_eq, {CALLS} calls a try");
    let function = report(&name, &bare(&right, constant_time_eq), all)?;
    // Whether a webhook is taken is no secret: only wrong guesses must look alike.
    let webhook = report("verification of a webhook", &whole, all - 1)?;
    writeln!(
        out,
        "largest |t|: control {leaked:.1}, constant_time_eq {function:.2}, webhook {webhook:.2}; \
         {T_MAX} is too much"
    )?;
    let holds = leaked >= T_MAX && function < T_MAX && webhook < T_MAX;
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
