//! The child's side: takes its limits upon itself, then answers one job after the other until its
//! input closes. It runs nothing but this loop: no threads, no files, no network.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use dunlin_types::Code;
use dunlin_types::limits::{TRANSFORM_ADDRESS_SPACE_BYTES_MAX, TRANSFORM_KERNEL_CPU_SECS_MAX};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::frame::{self, Answer, Frame, Job, Outcome};
use crate::realm::{self, Realm};
use crate::report::ScriptError;
use crate::script::{self, Run};

/// Descriptors of a worker: its two pipes and the place where errors would go.
const DESCRIPTORS_MAX: u64 = 3;

/// The body of `<program> js-worker`: serves transformations on its standard streams until the
/// parent closes them. Call it before anything starts a thread.
pub fn worker_main() -> ExitCode {
    match confine().and_then(|()| serve(&mut io::stdin().lock(), &mut io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn confine() -> io::Result<()> {
    let limits = [
        (Resource::As, TRANSFORM_ADDRESS_SPACE_BYTES_MAX),
        (Resource::Nofile, DESCRIPTORS_MAX),
        (Resource::Nproc, 0),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        // A limit from outside that is lower already stays; it could not be raised either.
        let least = getrlimit(resource)
            .maximum
            .map_or(most, |outer| outer.min(most));
        let limit = Rlimit {
            current: Some(least),
            maximum: Some(least),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

/// Gives the process CPU time for one more job. The kernel's limit counts from the start of the
/// process, so it moves along; only the soft one, because the hard one never rises again.
fn renew_cpu() -> io::Result<()> {
    let until = realm::cpu_time().as_secs() + 1 + TRANSFORM_KERNEL_CPU_SECS_MAX;
    let maximum = getrlimit(Resource::Cpu).maximum;
    let limit = Rlimit {
        current: Some(maximum.map_or(until, |outer| outer.min(until))),
        maximum,
    };
    Ok(setrlimit(Resource::Cpu, limit)?)
}

fn serve(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let mut realm = Realm::new().map_err(io::Error::other)?;
    loop {
        let Some(frame) = frame::read(input)? else {
            return Ok(());
        };
        renew_cpu()?;
        let run = answer(&mut realm, &frame);
        let worn = is_worn(&run.outcome);
        let head = Answer {
            outcome: run.outcome,
            logs: realm.lines.borrow_mut().take(),
            worn,
        };
        output.write_all(&frame::encode(&head, &[], &run.payload)?)?;
        output.flush()?;
        if worn {
            // An interpreter out of memory or interrupted is not safe to take down in order.
            std::process::exit(0);
        }
        realm.ready();
    }
}

fn answer(realm: &mut Realm, frame: &Frame) -> Run {
    let job = serde_json::from_slice::<Job>(&frame.head).ok();
    let code = str::from_utf8(&frame.text).ok();
    let payload = str::from_utf8(&frame.payload).ok();
    match (job, code, payload) {
        (Some(job), Some(code), Some(payload)) => script::run(realm, &job, code, payload),
        _ => Run {
            outcome: script::failed(ScriptError::new(
                Code::TransformReturnBad,
                "the event is not UTF-8 JSON",
            )),
            payload: Vec::new(),
        },
    }
}

fn is_worn(outcome: &Outcome) -> bool {
    let Outcome::Failed(failed) = outcome else {
        return false;
    };
    matches!(
        Code::from_number(failed.code),
        Some(Code::TransformDeadline | Code::TransformMemory | Code::TransformStack)
    )
}
