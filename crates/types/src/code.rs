//! The stable error codes. Each has a page `docs/errors/E####.md` that tells cause and remedy; the
//! tidy test holds the two lists together.

use std::fmt;

macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal;)*) => {
        /// A stable error code, shown to users as `E####`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $title] $name = $number,)*
        }

        impl Code {
            /// All codes, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it means, in a few lower-case words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// The code of that number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    // 01xx: requests that were refused.
    BadRequest = 100, "the request is not what this path takes";
    Unauthorized = 101, "the credentials are missing or wrong";
    NotFound = 102, "there is nothing of that id";
    Conflict = 103, "something of that name exists already";
    TooLarge = 104, "the body is larger than this path takes";
    Overloaded = 105, "the server has no room for more work";
    HostRefused = 106, "the Host header names a host this server does not answer for";
    OriginRefused = 107, "the request comes from a web page of another origin";
    NotBuilt = 108, "this version does not have that yet";
    ShuttingDown = 109, "the server is stopping";
    MethodRefused = 110, "the path does not take that method";
    InsufficientAccess = 111, "the credentials are good, but not for this";

    // 02xx: inbound webhooks and sources.
    SignatureMissing = 200, "the webhook headers are missing";
    SignatureWrong = 201, "no signature matches";
    TimestampOff = 202, "the webhook timestamp is outside the tolerance";
    WebhookIdBad = 203, "the webhook id has characters it may not have";
    WebhookBodyBad = 204, "the webhook body is not a JSON object";
    WebhookTooDeep = 205, "the webhook body is nested too deeply";
    SecretWeak = 206, "the secret is missing or too short";
    SourceUnknown = 207, "there is no source of that id or name";
    SenderRefused = 208, "the sender's address is not on the source's list";
    ChallengeRefused = 209, "the challenge does not carry the source's token";

    // 03xx: events.
    EventBodyBad = 300, "the body holds no event";
    EventNameBad = 301, "the event name is empty, reserved or too long";
    EventTooLarge = 302, "the event is over the size limit";
    EventTimestampBad = 303, "the event timestamp is out of range";
    EventBatchTooLarge = 304, "the batch has too many events";
    EventKeyWrong = 305, "the event key is missing or not known";
    EventFieldBad = 306, "a field of the event has the wrong type";

    // 04xx: apps and functions.
    RegisterBad = 400, "the registration is not valid";
    FunctionBad = 401, "at least one function is not valid";
    ServerKindDiffers = 402, "the app expects another kind of server";
    AppUnreachable = 404, "the app could not be reached";
    AppRefusedSync = 405, "the app refused to sync";
    ExpressionBad = 406, "the expression does not compile";
    ExpressionFailed = 407, "the expression could not be evaluated";
    ExpressionTooCostly = 408, "the expression took too many steps";
    SyncKeyWrong = 409, "the app and the server have different signing keys";
    SyncForbidden = 410, "the request to sync was forbidden";
    SyncUrlNotFound = 411, "nothing is served at the app's URL";
    SyncAppFailed = 412, "the app failed while it was asked to sync";
    AppWithoutFunctions = 413, "the app has no functions";
    NotAnSdk = 414, "what answers at the app's URL is no SDK";
    AppUrlBad = 415, "the app's URL cannot be called";
    AppElsewhere = 416, "the app does not register with this server";

    // 05xx: calls and runs.
    CallUnreachable = 500, "the app could not be reached for a call";
    CallTimedOut = 501, "the call took longer than its deadline";
    CallNotSdk = 502, "the response did not come from an SDK";
    CallResponseTooLarge = 503, "the response is over the size limit";
    CallResponseBad = 504, "the response could not be understood";
    CallHttpError = 505, "the app answered with an error status";
    OpUnknown = 506, "the response holds an operation that is not known";
    OpNotBuilt = 507, "the response holds an operation that is not supported yet";
    OpBad = 508, "an operation of the response is not valid";
    StepOutputTooLarge = 509, "a step's output is over the size limit";
    StepError = 510, "a step threw";
    FunctionError = 511, "the function threw";
    NothingToDo = 512, "the app reported nothing to do though nothing is pending";
    NoProgress = 513, "the app reported only what was known already";
    TooManySteps = 514, "the run has too many steps";
    StateTooLarge = 515, "the run's state is over the size limit";
    TooManyOps = 516, "the response holds too many operations";
    SleepTooLong = 517, "the sleep is longer than a year";
    CrashedTooOften = 518, "the server stopped uncleanly during each call of this item";
    FunctionGone = 519, "the function is no longer registered";
    StaleDispatch = 520, "a newer dispatch of this item exists";
    RunEnded = 521, "the run has ended";
    CallAddressBlocked = 522, "the app's address is not allowed";
    CallAborted = 523, "the connection ended before the response did";
    ScheduleBad = 524, "the cron schedule is not valid";
    StepInputTooLarge = 525, "a step's input is over the size limit";
    OutboundFailed = 526, "a request made for a step failed";
    InvokeTimedOut = 527, "the invoked function did not end in time";
    InvokeSkipped = 528, "the invoked function was not to run";
    InvokeCancelled = 529, "the invoked run was cancelled";
    InvokeNotFound = 530, "the invoked function is not registered";
    WaitTooLong = 531, "the wait is longer than a year";
    WaitExpressionBad = 532, "the expression of a wait is not valid";
    SignalTaken = 533, "another run waits for that signal";
    InvokeHeld = 534, "a rule of the invoked function holds the event";

    // 06xx: endpoints, deliveries, transformations.
    EndpointUrlBad = 600, "the endpoint URL is not valid";
    AddressBlocked = 601, "requests to this address are blocked";
    HeaderRefused = 602, "that header may not be set";
    TransformSyntax = 603, "the transformation does not compile";
    TransformNoHandler = 604, "the transformation declares no function handler";
    TransformThrew = 605, "the transformation threw";
    TransformReturnBad = 606, "the transformation returned something unusable";
    TransformDeadline = 607, "the transformation took too long";
    TransformMemory = 608, "the transformation used too much memory";
    TransformStack = 609, "the transformation nested its calls too deeply";
    TransformCrashed = 610, "the transformation's worker process died";
    TransformLength = 611, "the transformation is too short or too long";
    DeliveryFailed = 612, "the receiver did not answer with success";
    DeliveryTimedOut = 613, "the receiver did not answer in time";
    DeliveryUnreachable = 614, "the receiver could not be reached";
    CardUnknown = 615, "there is no integration card of that id";
    CardEventBad = 616, "the transformed body is no event";
    EndpointDisabled = 617, "the endpoint is disabled";
    FilterBad = 618, "the filter is not valid";
    OrderingKeyBad = 619, "the path of the ordering key is not valid";
    PayloadExpired = 620, "the payload is no longer kept";
    CancelledByOwner = 621, "somebody cancelled the delivery";
    SecretsTooMany = 622, "too many old secrets are still valid";
    LookupsBusy = 623, "there was no place for a name look-up";
    TlsBad = 640, "the TLS settings of the endpoint are not valid";

    // 07xx: store.
    StoreBusy = 700, "the store is full or busy";
    StoreRefused = 701, "the store refused a row";
    StoreNewer = 702, "the store was written by a newer version";
    StoreCorrupt = 703, "the store cannot be read";
    StoreDead = 704, "the store failed";
    StoreLocked = 705, "another process has the store open";
    SealKeyMissing = 706, "values are sealed with a key that is not given";
    SealBroken = 707, "a sealed value cannot be opened";

    // 08xx: start-up and command line.
    ConfigMissing = 800, "a required setting is missing";
    ConfigBad = 801, "a setting is not valid";
    PortTaken = 802, "the address is in use";
    ServerUnreachable = 803, "the server could not be reached";
    EventTypeUnknown = 804, "there is no sample of that event type";
    FileUnreadable = 805, "the file could not be read";
    RequestRefused = 806, "the server refused the request";
}

impl Code {
    /// The number behind the `E`.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:04}", self.number())
    }
}

/// An error with its code and a text in lower case that fits behind a colon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Coded {
    /// The stable code.
    pub code: Code,
    /// What happened here, in lower case, without secrets.
    pub detail: String,
}

impl Coded {
    /// An error of that code.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// An error that has nothing to add to its code's title.
    #[must_use]
    pub fn plain(code: Code) -> Self {
        Self::new(code, code.title())
    }
}
