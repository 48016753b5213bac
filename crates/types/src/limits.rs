//! Every limit of Dunlin, with its unit in the name and the reason beside it.

/// Raw JSON of one event (SDK protocol: hard cap 3 MiB).
pub const EVENT_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Body of one request to the event API.
pub const EVENT_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events in one request to the event API (SDK protocol).
pub const EVENT_BATCH_EVENTS_MAX: usize = 5000;
/// Length of an event name, in characters (SDK protocol).
pub const EVENT_NAME_CHARS_MAX: usize = 512;
/// Earliest `ts` of an event: 1980-01-01 (SDK protocol).
pub const EVENT_TS_MS_MIN: i64 = 315_532_800_000;
/// Latest `ts` of an event: 2100-01-01 (SDK protocol).
pub const EVENT_TS_MS_MAX: i64 = 4_102_444_800_000;
/// A `ts` below this is in seconds: as milliseconds it would lie in 1973.
pub const EVENT_TS_SECONDS_BELOW: i64 = 100_000_000_000;
/// How long an event id starts a function only once (SDK protocol: 24 h).
pub const EVENT_ID_DEDUPE_MS: i64 = 24 * 60 * 60 * 1000;
/// A card event is held back only when its transformation set `ts` further ahead than this.
pub const CARD_TS_AHEAD_MS_MAX: i64 = 60_000;

/// Body of one inbound webhook; more is 413.
pub const INBOUND_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of an inbound JSON body; deeper is 400, so that no later parser recurses further.
pub const JSON_DEPTH_LEVELS_MAX: usize = 128;
/// Length of a provider's message id.
pub const INBOUND_ID_BYTES_MAX: usize = 256;
/// Signatures of one inbound request that are looked at.
pub const SIGNATURE_CANDIDATES_MAX: usize = 10;
/// How far an inbound timestamp may be off, either way (Standard Webhooks).
pub const SIGNATURE_TOLERANCE_MS: i64 = 5 * 60 * 1000;
/// Shortest key of a source or endpoint, decoded.
pub const WEBHOOK_KEY_BYTES_MIN: usize = 24;
/// Longest key of a source or endpoint, decoded.
pub const WEBHOOK_KEY_BYTES_MAX: usize = 75;
/// Old secrets of a source or endpoint that are still accepted.
pub const OLD_SECRETS_MAX: usize = 10;
/// Grace of a rotated secret when none is given.
pub const SECRET_GRACE_MS_DEFAULT: i64 = 24 * 60 * 60 * 1000;
/// Longest grace of a rotated secret.
pub const SECRET_GRACE_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;
/// How long a provider's message id is remembered; providers retry for about 28 h.
pub const MESSAGE_DEDUPE_MS: i64 = 72 * 60 * 60 * 1000;
/// Sources of one installation.
pub const SOURCES_MAX: usize = 1000;
/// Secret of a source whose scheme takes it as text; the shortest is [`WEBHOOK_KEY_BYTES_MIN`].
pub const SOURCE_SECRET_BYTES_MAX: usize = 256;
/// Ranges of addresses that one source lets send; each request is compared with all.
pub const SOURCE_IP_RANGES_MAX: usize = 256;
/// Name of a header or a path in the body that a source's configuration holds.
pub const SOURCE_PLACE_CHARS_MAX: usize = 256;
/// What a provider's GET has echoed; theirs have some dozens.
pub const SOURCE_CHALLENGE_BYTES_MAX: usize = 1024;
/// Fields of a form that comes in; each becomes a member of an object.
pub const FORM_FIELDS_MAX: usize = 1_000;
/// Refused webhooks that are listed for one source; the newest stay.
pub const REFUSALS_KEPT_PER_SOURCE_MAX: u64 = 1_000;
/// Refused webhooks of one source that are listed each second. The rest is counted: whoever sends
/// garbage must not have the disk write.
pub const REFUSALS_LISTED_PER_SOURCE_PER_SECOND_MAX: u32 = 10;
/// The same for all sources together.
pub const REFUSALS_LISTED_PER_SECOND_MAX: u32 = 100;
/// Value of a header that is listed with a refused webhook.
pub const REFUSAL_HEADER_CHARS_MAX: usize = 256;
/// Endpoints of one installation; all are held in memory.
pub const ENDPOINTS_MAX: usize = 10_000;
/// Endpoints of one application, so that nobody's portal uses up those of the others.
pub const ENDPOINTS_PER_APPLICATION_MAX: usize = 2_500;
/// Event types of one installation that were made or changed; all are held in memory.
pub const EVENT_TYPES_MAX: usize = 2_000;
/// Schemas of one event type, all versions with their examples.
pub const EVENT_TYPE_SCHEMAS_BYTES_MAX: usize = 256 * 1024;
/// Versions of one event type's schema.
pub const EVENT_TYPE_SCHEMAS_MAX: usize = 100;
/// Body of a request to import an OpenAPI document; large vendors' have several megabytes.
pub const OPENAPI_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Values of an OpenAPI document in YAML, those that its aliases repeat included.
pub const OPENAPI_NODES_MAX: usize = 500_000;
/// Levels of an OpenAPI document in YAML, and references that lead to each other.
pub const OPENAPI_DEPTH_MAX: usize = 100;
/// Schemas of all event types of one import, each with what it refers to.
pub const EVENT_TYPES_IMPORT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Feature flags of one event type.
pub const EVENT_TYPE_FLAGS_MAX: usize = 32;
/// Applications of one installation; all are held in memory.
pub const APPLICATIONS_MAX: usize = 10_000;
/// Portal tokens of one application that are worth something; the oldest gives way.
pub const PORTAL_TOKENS_PER_APPLICATION_MAX: usize = 1_000;
/// The same of one installation; all are held in memory.
pub const PORTAL_TOKENS_MAX: usize = 100_000;
/// Portal tokens that have run out and are removed when one is made, so that none takes long.
pub const PORTAL_TOKENS_SWEPT_MAX: usize = 100;
/// How long a portal token lasts unless its maker says so (Svix).
pub const PORTAL_TOKEN_MS_DEFAULT: i64 = 7 * 24 * 60 * 60 * 1000;
/// Shortest life of a portal token (Svix).
pub const PORTAL_TOKEN_MS_MIN: i64 = 60 * 60 * 1000;
/// Longest life of a portal token (Svix).
pub const PORTAL_TOKEN_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;
/// Feature flags of one portal token or integration, and sessions that one request ends.
pub const ACCESS_NAMES_MAX: usize = 100;
/// Name of a session or a feature flag.
pub const ACCESS_NAME_CHARS_MAX: usize = 256;
/// Integrations of one application.
pub const INTEGRATIONS_PER_APPLICATION_MAX: usize = 100;
/// Integrations of one installation; all are held in memory.
pub const INTEGRATIONS_MAX: usize = 10_000;
/// Answers that are kept for whoever asks again with the same idempotency key; the oldest give way.
pub const IDEMPOTENT_ANSWERS_MAX: usize = 10_000;
/// Their bytes together.
pub const IDEMPOTENT_ANSWERS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Body of an answer that is kept; a larger one is not.
pub const IDEMPOTENT_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a request waits for the one before with the same idempotency key.
pub const IDEMPOTENT_WAIT_MS_MAX: u64 = 30_000;

/// A day.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Delays after a failed delivery attempt, before jitter (Svix schedule: 8 attempts).
pub const DELIVERY_DELAYS_MS: [i64; 7] = [
    5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000,
];
/// Jitter of those delays, in percent either way.
pub const DELIVERY_JITTER_PERCENT: i64 = 20;
/// Delays of a schedule of one's own.
pub const DELIVERY_DELAYS_MAX: usize = 32;
/// Longest of them: a week.
pub const DELIVERY_DELAY_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;
/// Days a payload is kept unless its application says otherwise (Svix).
pub const PAYLOAD_RETENTION_DAYS_DEFAULT: u16 = 90;
/// Days a message is kept with its attempts unless its application says otherwise.
pub const MESSAGE_RETENTION_DAYS_DEFAULT: u16 = 180;
/// Longest either may be kept.
pub const RETENTION_DAYS_MAX: u16 = 3660;
/// How long a sender's own id of a message is taken (Svix: about a day).
pub const MESSAGE_EVENT_ID_MS: i64 = DAY_MS;
/// How long the answer to a request with an idempotency key is given again (Svix).
pub const IDEMPOTENCY_KEY_MS: i64 = 12 * 60 * 60 * 1000;
/// Longest a message may be held back before it is sent (Svix).
pub const DELIVER_AT_AHEAD_MS_MAX: i64 = DAY_MS;
/// Deliveries in flight of an endpoint of which nothing is known yet.
pub const DELIVERIES_IN_FLIGHT_AT_FIRST: usize = 2;
/// How far ahead of its even pace an endpoint's rate may be, in microseconds.
pub const DELIVERY_RATE_BURST_US: i64 = 50_000;
/// How long every attempt must have failed until an endpoint is disabled (Svix: five days).
pub const ENDPOINT_DISABLED_AFTER_MS: i64 = 5 * DAY_MS;
/// Failures must be so far apart before that time begins to count (Svix).
pub const FAILING_APART_MS_MIN: i64 = 12 * 60 * 60 * 1000;
/// And none further from the one before, or nothing says how the endpoint fared meanwhile: more
/// than twice the longest delay of the usual schedule.
pub const FAILING_GAP_MS_MAX: i64 = DAY_MS;
/// Failures so close to one another are one.
pub const FAILING_TOGETHER_MS: i64 = 60_000;
/// How long before its first failure an endpoint counts as failing: since its message was made.
pub const FAILING_BEGINS_BEFORE_MS_MAX: i64 = 60_000;
/// Parts of that time after which an endpoint's owner is warned, in percent.
pub const FAILING_WARNINGS_PERCENT: [u8; 3] = [50, 70, 90];
/// The failed attempt of a delivery of which operational webhooks tell (Svix: the fourth).
pub const FAILING_ATTEMPTS: u8 = 4;
/// Hours whose counts of deliveries are at hand.
pub const TALLY_HOURS_KEPT_HOT: u32 = 2;
/// Tasks that run at a time.
pub const TASKS_RUNNING_MAX: usize = 100;
/// Of them those of one application, and those over all applications together: tasks that wait at
/// slow endpoints of one must not leave the others without any.
pub const TASKS_RUNNING_PER_APPLICATION_MAX: usize = 10;
/// Pause of a task that could not go on, as when the server has too much to do, until it tries
/// again.
pub const TASK_PAUSE_MS: u64 = 500;
/// Tasks that are remembered; of those that have ended the oldest go first.
pub const TASKS_KEPT_MAX: usize = 1000;
/// Pending deliveries of an endpoint beyond which no task adds more.
pub const REPLAYS_WAITING_MAX: usize = 5_000;
/// Broadcasts that run at a time: each has its message in memory.
pub const BROADCASTS_RUNNING_MAX: usize = 4;
/// Messages of a broadcast that one commit holds.
pub const BROADCAST_COMMIT_MESSAGES_MAX: usize = 100;
/// Their payloads together, about; one message is always made.
pub const BROADCAST_COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Deliveries that are cancelled in one commit.
pub const CANCEL_SLICE_DELIVERIES: usize = 500;
/// Messages of a task that are looked at in one read; no more than one page holds.
pub const TASK_SLICE_MESSAGES: usize = 250;
/// Their payloads together, about; at one message a read comes further anyway. A reader that others
/// wait for is not kept for longer.
pub const TASK_SLICE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest span that a task may reach back (Svix: 14 days for recovery).
pub const TASK_SPAN_MS_MAX: i64 = 90 * DAY_MS;
/// Messages that are tried at endpoints and not kept, at a time: they wait in no lane, so they must
/// not become a way around it.
pub const TRIALS_AT_ONCE_MAX: usize = 16;
/// Those of them that are one application's.
pub const TRIALS_PER_APPLICATION_MAX: usize = 4;
/// One delivery attempt: connect, headers and body together.
pub const DELIVERY_TIMEOUT_MS: u64 = 15_000;
/// Connecting for a delivery attempt or a call.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// Deliveries of one endpoint in flight.
pub const DELIVERIES_IN_FLIGHT_PER_ENDPOINT_MAX: usize = 32;
/// Deliveries in flight.
pub const DELIVERIES_IN_FLIGHT_MAX: usize = 1024;
/// Least delay after a timeout or a 429 (Svix).
pub const DELIVERY_PENALTY_MS_MIN: i64 = 60_000;
/// Longest `Retry-After` of a receiver that is honoured, unless twice the delay is longer.
pub const DELIVERY_RETRY_AFTER_MS_MAX: i64 = 60 * 60 * 1000;
/// Card events that wait for another endpoint to finish the same message; more are not held.
pub const CARD_EVENTS_HELD_MAX: usize = 64;
/// Response of a receiver that is kept.
pub const DELIVERY_RESPONSE_KEPT_BYTES_MAX: usize = 16 * 1024;
/// Body of a request that makes a message: its payload and what goes with it.
pub const MESSAGE_BODY_BYTES_MAX: usize = 1_200_000;
/// Tags of one message (Svix).
pub const MESSAGE_TAGS_MAX: usize = 5;
/// Text of one (Svix).
pub const TAG_CHARS_MAX: usize = 128;
/// Applications whose old messages are looked for after one read.
pub const RETENTION_SLICE_APPLICATIONS: usize = 250;
/// Messages whose payload or rows go in one commit; small, so that others hardly wait.
pub const RETENTION_SLICE_MESSAGES: usize = 16;
/// Between two slices of what is kept too long: some three hundred messages a second, which a
/// neighbour does not feel.
pub const RETENTION_PAUSE_MS: u64 = 50;
/// A pass over what is kept too long that takes longer makes no such pauses any more.
pub const RETENTION_GENTLE_MS: u64 = 6 * 60 * 60 * 1000;
/// Between two looks for what is kept too long.
pub const RETENTION_PERIOD_MS: u64 = 60_000;
/// Parts into which keys are divided: at each look for what is kept too long, one part is searched
/// for keys whose windows have ended, so all of them in a day.
pub const RETENTION_KEY_PARTS: u32 = 24 * 60;
/// Such keys that go in one commit.
pub const RETENTION_SLICE_KEYS: usize = 64;
/// How often an attempt asks for its message while the store has too much to read.
pub const ATTEMPT_READS_MAX: usize = 240;
/// Between two of these.
pub const ATTEMPT_READ_PAUSE_MS: u64 = 250;
/// Bodies of fresh messages that are at hand for their first attempts.
pub const FRESH_MESSAGES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Headers of an attempt that are kept, of the request and of the answer each.
pub const ATTEMPT_HEADERS_KEPT_MAX: usize = 32;
/// Value of such a header.
pub const ATTEMPT_HEADER_CHARS_MAX: usize = 256;
/// Body of an outgoing delivery.
pub const DELIVERY_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Shortest transformation (Svix).
pub const TRANSFORM_CODE_CHARS_MIN: usize = 10;
/// Longest transformation (Svix).
pub const TRANSFORM_CODE_CHARS_MAX: usize = 51_200;
/// CPU time of one transformation, by the interpreter's own interrupt.
pub const TRANSFORM_CPU_MS_MAX: u64 = 500;
/// Wall time after which the worker process is killed.
pub const TRANSFORM_WALL_MS_MAX: u64 = 1_500;
/// Heap of one transformation.
pub const TRANSFORM_HEAP_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Stack of one transformation.
pub const TRANSFORM_STACK_BYTES_MAX: usize = 512 * 1024;
/// Compiled transformations that a worker keeps, each with the memory it begins with.
pub const TRANSFORM_SCRIPTS_KEPT_MAX: usize = 64;
/// Memory of a worker's compiled transformations together.
pub const TRANSFORM_SCRIPTS_KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Console output of one transformation that is kept.
pub const TRANSFORM_LOG_BYTES_MAX: usize = 64 * 1024;
/// Console lines of one transformation that are kept.
pub const TRANSFORM_LOG_LINES_MAX: usize = 1_000;
/// Text of an error that a transformation threw.
pub const TRANSFORM_ERROR_CHARS_MAX: usize = 1_000;
/// Headers one transformation may set.
pub const TRANSFORM_HEADERS_MAX: usize = 64;
/// One header value that a transformation sets.
pub const TRANSFORM_HEADER_BYTES_MAX: usize = 8 * 1024;
/// Worker processes for transformations when no number is given.
pub const TRANSFORM_WORKERS_DEFAULT: usize = 2;
/// Transformations that wait for a worker; more are refused.
pub const TRANSFORM_WAITING_MAX: usize = 1_024;
/// Transformations of one script that are with a worker at a time, the next ones waiting in its
/// pipe, if they are quick.
pub const TRANSFORM_AHEAD_MAX: usize = 8;
/// What is written to a worker ahead of its turn.
pub const TRANSFORM_AHEAD_BYTES_MAX: usize = 64 * 1024;
/// A transformation that takes no longer is quick, microseconds.
pub const TRANSFORM_QUICK_US_MAX: u64 = 1_000;
/// Time after which a worker is given no more of the same script, so that others have their turn.
pub const TRANSFORM_TALK_MS_MAX: u64 = 5;
/// One message to or from a worker: an event with its variables, or 1 MiB of result with logs.
pub const TRANSFORM_FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Address space of a worker: heap and stack, copies of the message, and the program itself.
pub const TRANSFORM_ADDRESS_SPACE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// CPU seconds after which the kernel stops a worker that its parent no longer watches.
pub const TRANSFORM_KERNEL_CPU_SECS_MAX: u64 = 3;

/// One call to an app when `--call-timeout` is not given: 2 h (SDK protocol).
pub const CALL_TIMEOUT_MS_DEFAULT: u64 = 2 * 60 * 60 * 1000;
/// Response body of a call (SDK protocol).
pub const CALL_RESPONSE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// State above which a call carries none of it and sets `use_api` (SDK protocol: 4 MiB − 1 KiB).
pub const CALL_INLINE_STATE_BYTES_MAX: usize = 4 * 1024 * 1024 - 1024;
/// Calls in flight at one app, so that one that hangs leaves room for the others, and so that runs
/// under way leave room for the acknowledgement of new events.
pub const CALLS_IN_FLIGHT_PER_APP_MAX: usize = 256;
/// Calls in flight.
pub const CALLS_IN_FLIGHT_MAX: usize = 4096;
/// Ops in one response (SDK protocol).
pub const OPS_PER_RESPONSE_MAX: usize = 1000;
/// Data or error of one op (SDK protocol).
pub const STEP_OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Input of one op, and the body of a request it asks for (SDK protocol).
pub const STEP_INPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What an SDK tells of a step beside its result; more is not kept.
pub const OP_METADATA_BYTES_MAX: usize = 64 * 1024;
/// Headers of one request that an op asks for; browsers and providers stay far below.
pub const OUTBOUND_HEADERS_MAX: usize = 128;
/// Names and values of those together, as much as servers commonly take.
pub const OUTBOUND_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Name of a signal, or id of an invoked or deferred function; in memory while it is waited for.
pub const TARGET_NAME_BYTES_MAX: usize = 1024;
/// Wait of an op that names no timeout: a year (SDK protocol).
pub const WAIT_MS_DEFAULT: i64 = 365 * 24 * 60 * 60 * 1000;
/// A text within an app's error, such as its message or its stack.
pub const ERROR_TEXT_BYTES_MAX: usize = 32 * 1024;
/// Body of an error response that no SDK made, as far as it is shown (SDK protocol).
pub const FOREIGN_BODY_SHOWN_BYTES_MAX: usize = 8192;
/// Steps of one run (SDK protocol).
pub const STEPS_PER_RUN_MAX: usize = 1000;
/// State of one run (SDK protocol).
pub const RUN_STATE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Retries of a function that names none (as the reference server).
pub const RETRIES_DEFAULT: u8 = 4;
/// Most retries a function may ask for (SDK protocol).
pub const RETRIES_MAX: u8 = 20;
/// Delays after a failed attempt, by attempt, in seconds (SDK protocol).
pub const BACKOFF_SECS: [i64; 10] = [15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200];
/// Jitter added to those, in whole seconds from 0.
pub const BACKOFF_JITTER_SECS_MAX: i64 = 30;
/// Least and greatest `Retry-After` that is honoured.
pub const RETRY_AFTER_MS_MIN: i64 = 1_000;
/// See [`RETRY_AFTER_MS_MIN`].
pub const RETRY_AFTER_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// Longest sleep or wait: 366 days (SDK protocol).
pub const SLEEP_MS_MAX: i64 = 366 * 24 * 60 * 60 * 1000;
/// Longest wait for an event, a signal or an invoked run, and the one that is meant where none is
/// named: 366 days (SDK protocol).
pub const WAIT_MS_MAX: i64 = SLEEP_MS_MAX;
/// Functions that one run may ask to have started when it has ended (SDK protocol); more are left
/// out.
pub const DEFERS_PER_RUN_MAX: usize = 20;
/// Input of those functions, in sum (SDK protocol); what goes beyond it is left out.
pub const DEFERS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of the run's own event that the expression of a wait may read: they are kept with it.
pub const WAIT_READS_BYTES_MAX: usize = 64 * 1024;
/// Waits that one event resumes in one decision; the others follow in slices of that many, so that
/// an event which a hundred thousand runs wait for does not hold everybody else up.
pub const RESUMED_PER_TURN_MAX: usize = 256;
/// Bytes of requests that steps asked the server to make and that are not answered yet. Beyond it
/// the oldest are forgotten, and their apps asked for them again.
pub const REQUESTS_KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// With `--cron-missed skip`, a tick that is later than this is skipped.
pub const TICK_LATE_MS_MAX: i64 = 60_000;
/// Times that an item is sent out again after unclean stops before its attempt fails.
pub const REDISPATCHES_MAX: u8 = 5;
/// Least delay of the first call of an item after an unclean stop.
pub const REDISPATCH_DELAY_MS: i64 = 1_000;

/// Functions of one app.
pub const FUNCTIONS_PER_APP_MAX: usize = 1000;
/// Triggers of one function (SDK protocol).
pub const TRIGGERS_PER_FUNCTION_MAX: usize = 10;
/// Event name of a trigger, in characters (SDK protocol).
pub const TRIGGER_EVENT_CHARS_MAX: usize = 255;
/// Least jitter of a cron trigger (SDK protocol).
pub const CRON_JITTER_MS_MIN: i64 = 1_000;
/// Greatest jitter of a cron trigger (SDK protocol).
pub const CRON_JITTER_MS_MAX: i64 = 5 * 60 * 1000;
/// `cancelOn` rules of one function (SDK protocol).
pub const CANCELS_PER_FUNCTION_MAX: usize = 5;
/// Concurrency rules of one function (SDK protocol).
pub const CONCURRENCY_RULES_MAX: usize = 2;
/// Apps that are asked to sync at once: one that hangs must not hold up the others.
pub const SYNCS_AT_ONCE_MAX: usize = 16;
/// Body of a registration.
pub const REGISTER_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Body of a management request.
pub const MANAGEMENT_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Body of a checkpoint: a response's worth of ops.
pub const CHECKPOINT_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Body of a rerun: a step's arguments, and its name.
pub const RERUN_BODY_BYTES_MAX: usize = 5 * 1024 * 1024;
/// What is told of one run beside its results (SDK protocol: 1 MiB).
pub const RUN_METADATA_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Body of a signal: what a step may put out, and the name.
pub const SIGNAL_BODY_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Text of an expression.
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// Steps one evaluation of an expression may take.
pub const EXPRESSION_EVALUATION_STEPS_MAX: u32 = 100_000;
/// Nesting of an expression.
pub const EXPRESSION_DEPTH_LEVELS_MAX: usize = 64;

/// Text of a cron schedule, with its zone (SDK protocol).
pub const CRON_TEXT_CHARS_MAX: usize = 255;
/// How far a cron schedule is searched for its next time: 29 February can be eight years away.
pub const CRON_SEARCH_DAYS_MAX: i64 = 9 * 366;

/// Requests that wait for their commit; more are answered 503.
pub const INTAKE_WAITING_MAX: usize = 8192;
/// Inputs that one turn decides before it looks at its commit again.
pub const TURN_INPUTS_MAX: usize = 1024;
/// Rows of one commit, about; a turn stops deciding beyond it.
pub const COMMIT_ROWS_MAX: usize = 16_384;
/// Bytes of one commit, about.
pub const COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Timers that one turn takes up.
pub const TIMERS_PER_TURN_MAX: usize = 256;
/// Ledgers (state of runs) kept in memory, in bytes.
pub const LEDGER_CACHE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A run that does nothing for longer than this leaves its ledger to the store meanwhile, whatever
/// room there is: a million that sleep for days must not fill the memory of those at work.
pub const LEDGER_KEPT_AHEAD_MS: i64 = 60 * 1000;

/// Items of one page of a list (management API: 250).
pub const PAGE_ITEMS_MAX: usize = 250;
/// Rows of the store that are read for one page of a list, kept or not.
pub const LIST_ROWS_READ_MAX: usize = 2_000;
/// Event types that one list of messages may name: each is a list of its own to walk.
pub const LIST_EVENT_TYPES_MAX: usize = 64;
/// Bodies that one page of a list reads, about; it ends early beyond them.
pub const LIST_BODIES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Names of sources.
pub const SOURCE_NAME_CHARS_MAX: usize = 64;
/// Names of applications and descriptions of endpoints.
pub const DESCRIPTION_CHARS_MAX: usize = 1024;
/// Ids that owners give (management API).
pub const UID_CHARS_MAX: usize = 256;
/// What an owner notes on a thing, as JSON (management API).
pub const METADATA_BYTES_MAX: usize = 4096;
/// Name of an event type (management API).
pub const EVENT_TYPE_CHARS_MAX: usize = 256;
/// Event types that one endpoint may name.
pub const ENDPOINT_EVENT_TYPES_MAX: usize = 1024;
/// Channels that one endpoint may name (management API).
pub const ENDPOINT_CHANNELS_MAX: usize = 10;
/// Name of a channel (management API).
pub const CHANNEL_CHARS_MAX: usize = 128;
/// Text of one endpoint's filter; ten thousand endpoints are held in memory.
pub const FILTER_BYTES_MAX: usize = 16 * 1024;
/// Nesting of a filter.
pub const FILTER_DEPTH_LEVELS_MAX: usize = 16;
/// Terms of a filter: its names, operators and conditions.
pub const FILTER_TERMS_MAX: usize = 256;
/// Comparisons that one filter may take for one message: a few milliseconds of the thread that decides.
pub const FILTER_STEPS_MAX: usize = 100_000;
/// What an explanation shows of a value that did not fit.
pub const FILTER_SHOWN_CHARS_MAX: usize = 100;
/// Text of the path of an ordering key.
pub const ORDERING_KEY_BYTES_MAX: usize = 256;
/// Names and places of the path of an ordering key.
pub const ORDERING_KEY_PARTS_MAX: usize = 16;
/// Headers that a user sets for one endpoint.
pub const ENDPOINT_HEADERS_MAX: usize = 64;
/// Variables of one transformation, names and values together.
pub const TRANSFORM_VARIABLES_BYTES_MAX: usize = 64 * 1024;
/// Repeats of one message that are counted when somebody asks.
pub const REPEATS_COUNTED_MAX: usize = 10_000;
/// Runs of one event that an explanation looks at.
pub const EXPLAINED_RUNS_MAX: usize = 5_000;

/// Members of a `tracestate` that are looked at; more are not allowed (W3C Trace Context).
pub const TRACE_STATE_MEMBERS_MAX: usize = 32;
/// Deliveries of a message that a trace from end to end shows.
pub const JOURNEY_DELIVERIES_MAX: usize = 50;
/// Attempts of a message that such a trace reads; few messages have more than eight for each endpoint.
pub const JOURNEY_ATTEMPTS_READ_MAX: usize = 1_000;
/// Attempts of one delivery that it shows: more than the usual schedule has.
pub const JOURNEY_ATTEMPTS_MAX: usize = 20;
/// Runs of one event that it shows.
pub const JOURNEY_RUNS_MAX: usize = 50;
/// Steps of one run that it shows; the run's own trace has them all.
pub const JOURNEY_STEPS_MAX: usize = 100;
/// Events of one step, and of the batch that started a run, that it shows.
pub const JOURNEY_EVENTS_MAX: usize = 20;
/// How often an event leads to a run that leads to an event before it stops: chains that are longer
/// are mostly loops.
pub const JOURNEY_GENERATIONS_MAX: usize = 8;
/// How many events and runs it goes up from what was asked for. An event, a run and its step are three
/// nodes of two levels each, and readers of JSON take 128 levels.
pub const JOURNEY_CLIMB_MAX: usize = 32;
/// Nodes of one such trace, besides the way to what was asked for: a page that people can look at.
pub const JOURNEY_NODES_MAX: usize = 2_000;
/// Steps and their attempts that it reads, drawn or not: each may carry megabytes.
pub const JOURNEY_SPANS_READ_MAX: usize = 5_000;
/// Events at the instant of a run's end among which those are looked for that tell of it.
pub const JOURNEY_TOLD_READ_MAX: usize = 100;

/// Jobs over many runs (bulk cancellations and replays) at work at a time: each reads and decides
/// beside everybody else.
pub const BULK_JOBS_AT_ONCE_MAX: usize = 4;
/// Jobs over many runs that are remembered; the oldest that has ended is forgotten first.
pub const BULK_JOBS_KEPT_MAX: usize = 100;
/// Runs that a job over many runs reads at once; they come with their outputs.
pub const BULK_RUNS_PER_READ_MAX: usize = 50;
/// Runs that one job has the engine decide about at a time; they share commits.
pub const BULK_ACTIONS_AT_ONCE_MAX: usize = 32;
/// Runs that a replay makes in a second when no number is given.
pub const BULK_RUNS_PER_SECOND_DEFAULT: u32 = 50;
/// Runs that a job over many runs takes up in a second.
pub const BULK_RUNS_PER_SECOND_MAX: u32 = 1_000;
/// Runs that are looked at to count those of a replay.
pub const BULK_COUNT_ROWS_MAX: usize = 1_000_000;
/// Pause of a job over many runs while the server has too much to do.
pub const BULK_PAUSE_MS: u64 = 100;
/// How far ahead of now a bulk cancellation may end: clocks differ (SDK protocol: 5 s).
pub const BULK_CANCEL_AHEAD_MS_MAX: i64 = 5_000;

/// Body of one GraphQL request.
pub const GRAPHQL_BODY_BYTES_MAX: usize = 256 * 1024;
/// Text of one GraphQL document; the longest that tools send is a tenth of it.
pub const GRAPHQL_DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Nesting of a GraphQL document, brackets as well as selections through fragments: its parser
/// recurses.
pub const GRAPHQL_DEPTH_LEVELS_MAX: usize = 48;
/// Fields that a GraphQL document selects, counted through its fragments, which may multiply.
pub const GRAPHQL_FIELDS_MAX: usize = 2_000;
/// Rows of the store that one GraphQL request may read, about: it holds a reading thread.
pub const GRAPHQL_ROWS_READ_MAX: usize = 20_000;
/// Text that one GraphQL answer carries, about.
pub const GRAPHQL_ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Rows that a filtered GraphQL list reads at once; each may carry a large output.
pub const GRAPHQL_ROWS_PER_READ_MAX: usize = 50;

/// Items of one page of a list when no limit is given.
pub const PAGE_ITEMS_DEFAULT: usize = 50;

/// Text of a URL that is called.
pub const URL_BYTES_MAX: usize = 8192;
/// Head of one response, and what is buffered of its body unread.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Value of a header that a user set for an endpoint (Svix).
pub const ENDPOINT_HEADER_VALUE_BYTES_MAX: usize = 4096;
/// PEM text of one field of an endpoint's TLS settings: a bundle of authorities fits.
pub const TLS_PEM_BYTES_MAX: usize = 64 * 1024;
/// Certificates in one field of an endpoint's TLS settings.
pub const TLS_CERTIFICATES_MAX: usize = 32;
/// A connection that dies this soon, without a byte of an answer, is replaced once for a request
/// that may be repeated (Svix).
pub const RECONNECT_WITHIN_MS: u64 = 1_000;
/// Head of an outgoing proxy's answer.
pub const PROXY_HEAD_BYTES_MAX: usize = 8 * 1024;
/// Look-ups of names in flight for endpoints; each holds a thread of the blocking pool until the
/// operating system gives up.
pub const LOOKUPS_OF_TENANTS_MAX: usize = 40;
/// Of these, for one application's endpoints.
pub const LOOKUPS_PER_TENANT_MAX: usize = 20;
/// The same for what the operator's own functions and settings name.
pub const LOOKUPS_OF_OPERATOR_MAX: usize = 24;
/// One in so many places, of each of these, is for names not known to resolve.
pub const LOOKUPS_UNPROVEN_PARTS: usize = 2;
/// One in so many is for names whose last look-up hung.
pub const LOOKUPS_HUNG_PARTS: usize = 8;
/// A look-up that takes longer than connecting may has hung.
pub const LOOKUP_SLOW_MS: u64 = CONNECT_TIMEOUT_MS;
/// Names of which it is remembered that they resolved, and as many that hung.
pub const LOOKUP_NAMES_REMEMBERED_MAX: usize = 32 * 1024;
/// Addresses of one name that are tried before connecting has failed.
pub const ADDRESSES_TRIED_MAX: usize = 8;
/// Idle connections kept to one origin: as many as calls may be in flight there.
pub const IDLE_CONNECTIONS_PER_ORIGIN_MAX: usize = CALLS_IN_FLIGHT_PER_APP_MAX;
/// Idle connections kept in all.
pub const IDLE_CONNECTIONS_MAX: usize = 2048;
/// How long an idle connection is kept when the server does not say.
pub const IDLE_CONNECTION_MS_MAX: u64 = 60_000;
/// How often idle connections that are over their time are closed.
pub const IDLE_SWEEP_MS: u64 = 5_000;

/// Connections from outside that are open at a time; more wait in the kernel's queue.
pub const HTTP_CONNECTIONS_MAX: usize = 4096;
/// Time for the head of a request to arrive, idle time on a kept connection included.
pub const HTTP_HEAD_MS_MAX: u64 = 60_000;
/// Time for the body of a request to arrive.
pub const HTTP_BODY_MS_MAX: u64 = 60_000;
/// Time for which a connection may be open with no request on it; nothing sent at all, half an
/// HTTP/2 preface and pings between streams are no request.
pub const HTTP_IDLE_MS_MAX: u64 = 60_000;
/// Time that such a connection then has to take what was answered before it is cut.
pub const HTTP_DRAIN_MS_MAX: u64 = 5 * 60_000;
/// Head of one request, and what is buffered of its body unread.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests at a time on one HTTP/2 connection.
pub const HTTP_STREAMS_PER_CONNECTION_MAX: u32 = 250;
/// Bodies of requests held in memory at a time, without the small ones.
pub const HTTP_BODIES_BYTES_MAX: usize = 512 * 1024 * 1024;
/// The same for bodies that are read before their senders have shown who they are (incoming webhooks).
pub const HTTP_STRANGERS_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A body up to this size is small: [`HTTP_CONNECTIONS_MAX`] bounds those.
pub const HTTP_BODY_SMALL_BYTES_MAX: usize = 64 * 1024;
/// Time for requests in flight to end after the server was told to stop.
pub const HTTP_SHUTDOWN_MS_MAX: u64 = 10_000;
/// Pause after the operating system refused to hand over a connection (no file descriptors left).
pub const HTTP_ACCEPT_PAUSE_MS: u64 = 100;

/// Bodies and outputs from this size on are stored apart, so that lists skip them.
pub const STORE_INLINE_BYTES_MAX: usize = 256 * 1024;
/// Pages (4 KiB) of the store's log from which on it is copied into the file: 16 MiB.
pub const STORE_WAL_CHECKPOINT_PAGES: usize = 4096;
/// Bytes of the log file that are kept when the log starts over.
pub const STORE_WAL_KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Page cache of the store's writer, in KiB.
pub const STORE_WRITER_CACHE_KIB: usize = 16 * 1024;
/// Page cache of each of the store's readers, in KiB.
pub const STORE_READER_CACHE_KIB: usize = 8 * 1024;
/// Names of events and event types that the store's writer remembers the numbers of.
pub const STORE_NAMES_CACHED_MAX: usize = 100_000;
/// Keys that values at rest may be sealed with: one, and those of rotations that are not done.
pub const SEAL_KEYS_MAX: usize = 16;
/// Rows that are sealed anew in one transaction: a crash repeats no more than that.
pub const SEAL_ROWS_PER_COMMIT: usize = 500;
/// Size up to which the whole file is written anew after that, so that what deleted rows leave
/// behind is gone, too. It is done in memory, and takes some seconds.
pub const SEAL_VACUUM_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How long calls in flight may go on when the server is told to stop.
pub const SHUTDOWN_GRACE_MS: u64 = 10_000;
/// How long requests that are still open may go on after that.
pub const SHUTDOWN_REQUESTS_MS: u64 = 1_000;
/// Value of a flow control key that is kept as it is; a longer one is cut and told apart by a hash.
pub const FLOW_KEY_BYTES_MAX: usize = 128;
/// Priority of a run, either way, in seconds (as the reference server).
pub const PRIORITY_SECS_MAX: i64 = 43_200;
/// Longest period of a rate limit (SDK protocol).
pub const RATE_LIMIT_PERIOD_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// Shortest period of a throttle, a rate limit or a debounce (SDK protocol).
pub const FLOW_PERIOD_MS_MIN: i64 = 1_000;
/// Longest period of a throttle; longer ones would be forgotten about.
pub const THROTTLE_PERIOD_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;
/// Longest period of a debounce (SDK protocol).
pub const DEBOUNCE_PERIOD_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;
/// Fewest events of a batch (SDK protocol).
pub const BATCH_EVENTS_MIN: u32 = 2;
/// Most events of a batch: they are one request to the app.
pub const BATCH_EVENTS_MAX: u32 = 10_000;
/// Shortest timeout of a batch (SDK protocol).
pub const BATCH_TIMEOUT_MS_MIN: i64 = 1_000;
/// Longest timeout of a batch.
pub const BATCH_TIMEOUT_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;
/// Events of one batch together; it is run when they reach it (SDK protocol).
pub const BATCH_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// How long an idempotency expression's value starts no second run (SDK protocol).
pub const IDEMPOTENCY_MS: i64 = 24 * 60 * 60 * 1000;
/// Limits that operators may set.
pub const OPERATOR_LIMITS_MAX: usize = 1_000;
/// Items of one run that are shown with what they wait for.
pub const LOOK_ITEMS_MAX: usize = 100;
/// Places in a queue that are counted.
pub const LOOK_PLACES_MAX: usize = 10_000;
/// Runs that are shown as holders of a limit.
pub const LOOK_HOLDERS_MAX: usize = 20;
/// Runs that one look tells of whether they have begun: those of a page.
pub const LOOK_RUNS_MAX: usize = 256;
/// Queues of a function that are shown.
pub const LOOK_QUEUES_MAX: usize = 100;
/// Longest pause of all calls to an app that asks for one (429 or 503 with `Retry-After`).
pub const APP_PAUSE_MS_MAX: i64 = 60_000;
/// How long a look at the engine may wait for the commit before it; a store that does not commit
/// must not keep those waiting who want to know why.
pub const LOOK_MS_MAX: u64 = 5_000;
/// Functions whose debounces and batches an explanation of one event looks at.
pub const EXPLAINED_GATHERS_MAX: usize = 20;
/// Functions, and apps, with series of their own in the metrics; the rest is one sum.
pub const METRICS_LABELS_MAX: usize = 200;
/// Name of a limit of an operator.
pub const OPERATOR_LIMIT_NAME_CHARS_MAX: usize = 64;
/// A host name (RFC 1035).
pub const HOST_NAME_CHARS_MAX: usize = 253;
/// What a limit of an operator may allow at a time or in a period; more is no limit.
pub const OPERATOR_LIMIT_COUNT_MAX: u32 = 1_000_000;
/// Runs that only wait for a free call up to which all new events are taken: a second or a few of
/// work, so that whoever comes next does not wait long.
pub const BACKLOG_FREE_RUNS_MAX: usize = 10_000;
/// How long the backlog may be larger than that before new events are held back: a burst is what
/// queues are for, and only what goes on is overload.
pub const BACKLOG_PATIENCE_MS: u64 = 10_000;
/// Backlog beyond which that patience is over at once: what is read back from disk to be run costs
/// more than what is still in memory.
pub const BACKLOG_BURST_RUNS_MAX: u64 = 120_000;
/// Events taken each second however large the backlog is, so that a server whose runs seldom end
/// does not refuse everything.
pub const INTAKE_BUSY_PER_SECOND_MIN: u64 = 100;
/// What may come at once while the backlog is too large: the events of this time.
pub const INTAKE_BUSY_BURST_MS: u64 = 100;
/// Runs that have not ended when `--max-live-runs` is not given; all are in memory.
pub const LIVE_RUNS_MAX_DEFAULT: usize = 5_000_000;
/// Memory of the process when `--memory-max` is not given, in percent of what there is.
pub const MEMORY_SHARE_PERCENT: u64 = 80;
/// How often the process's memory is looked at.
pub const MEMORY_SAMPLE_MS: u64 = 250;
/// Longest `Retry-After` of a refusal for lack of room.
pub const RETRY_AFTER_SECS_MAX: u64 = 60;
/// Body of a refused request that is read and thrown away, so that its sender reads the answer and
/// keeps the connection; a longer one ends the connection.
pub const REFUSED_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Queues that one function has for values of its keys. Beyond it, values that have none yet share
/// some, so that a million customers cost no more memory than their runs do.
pub const LANES_PER_FUNCTION_MAX: usize = 10_000;
/// Queues that such values share.
pub const LANES_SHARED_PER_FUNCTION: u16 = 1_024;
