//! Many worlds: random programs, delays and crashes, and rules that no world may break. A world
//! that breaks one is told by its seed: `DUNLIN_SEED=7 cargo test -p dunlin-turn --test worlds`.

use crate::interpreter::{self, End};
use crate::world::app::Sdk;
use crate::world::{Delays, Dice, World, cancelled_on, keyed, retries, seeded, spec};
use dunlin_engine::{Answer, Options, RunEnd, RunStatus};
use dunlin_types::{NewEvent, Timestamp};

const SEEDS: u64 = 200;

/// A random program.
fn program(dice: &mut Dice, depth: usize, names: &mut usize, nests: bool) -> String {
    let mut out = String::new();
    for _ in 0..=dice.below(3) {
        *names += 1;
        let n = *names;
        let statement = match dice.below(20) {
            14 => format!("wait w{n} often 400000 match"),
            15 => format!("wait w{n} never {}", dice.below(100_000)),
            16 if nests => format!("invoke i{n} app-h 40000000 caught"),
            17 if nests => format!("invoke i{n} app-h 40000000"),
            18 => format!("fetch f{n} fails {} caught", dice.below(6)),
            19 if dice.below(3) == 0 => format!("signal g{n} s{n} 30000 replace"),
            0 | 1 => format!("sleep s{n} {}", dice.below(100_000)),
            2 => format!("until u{n} {}", dice.below(60_000)),
            3 => format!("step a{n} fails {} caught", dice.below(6)),
            4 => format!("step a{n} fails {} after 3000", dice.below(3)),
            5 => format!("step a{n} fatal caught"),
            6 if dice.below(3) == 0 => format!("throw {}", dice.below(6)),
            7 if dice.below(6) == 0 => format!("step a{n} fatal"),
            8 if dice.below(6) == 0 => "refuse".to_owned(),
            9 if depth < 2 => format!("loop 2 [ {} ]", program(dice, depth + 1, names, nests)),
            10..=12 if depth < 2 => {
                let word = ["par", "par", "race"][dice.below(3) as usize];
                let branches: Vec<String> = (0..2 + dice.below(2))
                    .map(|_| program(dice, depth + 1, names, nests))
                    .collect();
                format!("{word} [ {} ]", branches.join(" | "))
            }
            _ => format!("step a{n}"),
        };
        out.push_str(&statement);
        out.push(' ');
    }
    out
}

/// A world from a seed, before anything happens in it.
fn begin(seed: u64) -> World {
    let mut dice = Dice(seed ^ 0xD117);
    let mut world = World::new(seed);
    world.sdk = Sdk {
        version: [Some(1), Some(2), Some(2), None][dice.below(4) as usize],
        checkpoints: dice.below(3) == 0,
    };
    let delay = |dice: &mut Dice| [1, 10, 3000][dice.below(3) as usize];
    world.delays = Delays {
        commit: delay(&mut dice),
        load: delay(&mut dice),
        call: delay(&mut dice),
    };
    world.with_options(Options {
        retry_interval_ms: [None, Some(500)][dice.below(2) as usize],
        // A cache without room and pictures all the time, in some worlds.
        ledger_cache_bytes_max: [0, usize::MAX][dice.below(2) as usize],
        rows_per_fold: [3, 20, 100_000][dice.below(3) as usize],
        ..Options::default()
    });
    let only = Some("event.data.function_id == 'app-f'");
    let mut specs = vec![
        retries(spec("app-f", "go", None), dice.below(4) as u8),
        cancelled_on(spec("app-g", "go", None), "stop", None),
        spec("app-h", "unused", None),
    ];
    if dice.below(2) == 0 {
        specs.push(spec("app-f-failure", "inngest/function.failed", only));
    }
    world.register(specs);
    // What is not durable yet may be lost.
    world.run_for(10_000);
    for slug in ["app-f", "app-g", "app-h", "app-f-failure"] {
        let text = program(&mut dice, 0, &mut 0, slug != "app-h");
        world.log.push(format!("{slug}: {text}"));
        world.program(slug, &text);
    }
    world
}

/// Lives a world: events come in, the process dies now and then, some runs are cancelled; then
/// all faults stop and everything must come to its end.
fn live(seed: u64, faults: bool) -> World {
    let mut dice = Dice(seed ^ 0x5EED);
    let mut world = begin(seed);
    let sends = 1 + dice.below(3);
    let mut tokens = Vec::new();
    let send = |n: u64| NewEvent {
        seeded: Some(seeded(n)),
        id: n.is_multiple_of(2).then(|| format!("id-{n}")),
        ..keyed("go", 1)
    };
    let mut often = world.now;
    for n in 0..sends {
        tokens.push((n, world.send(send(n))));
    }
    let mut paused = false;
    let crashes = if faults { dice.below(5) } else { 0 };
    let mut left = crashes;
    for _ in 0..dice.below(400) {
        if left > 0 && dice.below(12) == 0 {
            left -= 1;
            world.crash();
        } else if faults && dice.below(60) == 0 && !world.store.runs.is_empty() {
            let n = 1 + dice.below(world.store.runs.len() as u64) as usize;
            let run = world.run(n);
            world.cancel(run);
        } else if faults && dice.below(120) == 0 {
            world.send(keyed("stop", 1));
        } else if faults && dice.below(30) == 0 {
            paused = !paused;
            world.pause(0, paused);
        }
        send_often(&mut world, &mut often);
        let end = world.now.plus_ms(40_000);
        world.step(end);
    }
    world.pause(0, false);
    // Whoever has no answer sends again, until there is one.
    for (n, token) in tokens {
        world.settle();
        if !world.answers.contains_key(&token) {
            let again = world.send(send(n));
            world.run_for(100_000);
            assert!(matches!(world.answers[&again], Answer::Events(_)));
        }
    }
    for _ in 0..2_000 {
        if world.live_runs() == 0 {
            break;
        }
        send_often(&mut world, &mut often);
        world.run_for(20_000);
    }
    world.run_out();
    judge(&world, sends);
    world
}

/// Sends the events that waits for `often` rely on, and others that are not for them.
fn send_often(world: &mut World, last: &mut Timestamp) {
    if world.now.since(*last) >= 20_000 {
        *last = world.now;
        world.send(keyed("often", 2));
        world.send(keyed("often", 1));
    }
}

/// Runs that came to what they must, whatever happened on the way.
fn compare(world: &World) -> usize {
    let programs = world.programs();
    let stopped = |end: &RunEnd| matches!(end.status, RunStatus::Cancelled | RunStatus::Skipped);
    let any_stopped = world.store.ends.values().any(stopped);
    let mut compared = 0;
    for (run, end) in &world.store.ends {
        let function = &world.store.functions[&world.store.runs[run].function];
        let slug = function.slug.as_str();
        let text = world.text();
        let invokes = text.contains(&format!("{slug}: ")) && text.contains("invoke");
        if stopped(end) || slug == "app-f-failure" || (any_stopped && invokes) {
            continue;
        }
        let attempts = function.retries.unwrap_or(4) + 1;
        match interpreter::end_of(&programs, slug, attempts) {
            None => continue,
            Some(End::Returns(value)) => {
                assert_eq!(end.status, RunStatus::Completed, "{slug}\n{text}");
                assert_eq!(end.output.as_str(), value, "{slug}\n{text}");
            }
            Some(End::Fails) => assert_eq!(end.status, RunStatus::Failed, "{slug}\n{text}"),
        }
        compared += 1;
    }
    compared
}

fn judge(world: &World, sends: u64) {
    let text = || world.text();
    let of = |name: &str| {
        world
            .store
            .events
            .values()
            .filter(|e| e.name == name)
            .count()
    };
    assert_eq!(
        of("go"),
        sends as usize,
        "each send is one event\n{}",
        text()
    );
    for (seq, _) in world.store.events.iter().filter(|(_, e)| e.name == "go") {
        let runs = world.store.runs.values().filter(|run| run.event == *seq);
        assert_eq!(
            runs.count(),
            2,
            "each event starts each function once\n{}",
            text()
        );
    }
    for ((_, id), (well, times)) in &world.ran {
        let most = 1 + world.crashes;
        assert!(*well <= most, "{id} ran {well} times\n{}", text());
        assert!(
            *times <= 5 * most,
            "{id} was tried {times} times\n{}",
            text()
        );
    }
    let results = world
        .store
        .steps
        .values()
        .filter(|row| row.mark.kind.completes());
    assert_eq!(results.count(), world.store.results.len());
    for end in world.store.ends.values() {
        assert_ne!(end.status, RunStatus::Live);
    }
}

fn seeds(from: u64) -> std::ops::Range<u64> {
    match std::env::var("DUNLIN_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => seed..seed + 1,
        None => from..from + SEEDS,
    }
}

#[test]
fn no_world_with_crashes_breaks_a_rule() {
    let (mut crashes, mut again, mut results, mut cancelled) = (0, 0, 0, 0);
    let mut compared = 0;
    for seed in seeds(0) {
        let caught = std::panic::catch_unwind(|| live(seed, true));
        let Ok(world) = caught else {
            panic!("seed {seed}");
        };
        crashes += world.crashes;
        compared += compare(&world);
        results += world.store.results.len();
        again += world.ran.values().filter(|(well, _)| *well > 1).count();
        let ends = world.store.ends.values();
        cancelled += ends
            .filter(|end| end.status == RunStatus::Cancelled)
            .count();
    }
    if std::env::var_os("DUNLIN_SEED").is_none() {
        // The worlds reach what they are made for.
        assert!(crashes > 100 && again > 20 && results > 1000 && cancelled > 20);
        assert!(compared > 300, "{compared} runs came to what they must");
    }
}

#[test]
fn without_faults_each_step_runs_through_once() {
    for seed in seeds(10_000).take(60) {
        let caught = std::panic::catch_unwind(|| live(seed, false));
        let Ok(world) = caught else {
            panic!("seed {seed}");
        };
        compare(&world);
        for ((run, id), (well, _)) in &world.ran {
            assert!(*well <= 1, "seed {seed}: {id} of {run}\n{}", world.text());
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_world() {
    for seed in [3, 17] {
        assert_eq!(live(seed, true).text(), live(seed, true).text());
    }
}
