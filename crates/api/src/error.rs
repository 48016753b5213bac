//! Refusals. A handler says what is wrong; the guard gives it the shape of the API that was called.

use axum::response::{IntoResponse, Response};
use dunlin_types::{Code, Coded};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// The header that carries the code of every error.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("x-dunlin-error");

/// Seconds after which a refusal for lack of room may be tried again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// How an API writes its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `{error, status, data, error_code}`: the SDK-facing API.
    Public,
    /// `{ids, status, error, error_code}`: the event API.
    Event,
    /// `{errors: [{code, message}], error_code}`: the second version of the SDK-facing API.
    V2,
    /// `{code, detail, error_code}`: the management API.
    Svix,
    /// `{code, message, error_code}`: Dodo's API.
    Dodo,
}

/// Why a request was not done. Becomes a body once the route's [`Shape`] is known.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) error: Coded,
    /// Apart, since few refusals have it and all results carry its size.
    more: Option<Box<More>>,
}

/// What only some of the shapes have.
#[derive(Clone, Debug, Default)]
struct More {
    data: Value,
    /// The ids that were accepted before the refusal.
    ids: Vec<String>,
    /// A whole `detail` of the management API that is no text (lists of bad fields).
    detail: Option<Value>,
    /// The word for it in the second version, where the status alone does not tell.
    word: Option<&'static str>,
}

/// What a handler returns.
pub(crate) type Reply = Result<Response, Refused>;

impl Refused {
    /// With the status that goes with the code.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Coded::new(code, detail).into()
    }

    /// With the code's own title, and the status that goes with it.
    pub(crate) fn plain(code: Code) -> Self {
        Coded::plain(code).into()
    }

    /// With another status than usual.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With `data`, where the shape has it.
    pub(crate) fn data(mut self, data: Value) -> Self {
        self.more().data = data;
        self
    }

    /// After these ids were accepted.
    pub(crate) fn ids(mut self, ids: Vec<String>) -> Self {
        self.more().ids = ids;
        self
    }

    /// With a `detail` of the management API that is no text.
    pub(crate) fn detail(mut self, detail: Value) -> Self {
        self.more().detail = Some(detail);
        self
    }

    /// With its own word in the second version of the SDK-facing API.
    pub(crate) fn word(mut self, word: &'static str) -> Self {
        self.more().word = Some(word);
        self
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn body(&self, shape: Shape) -> Value {
        let more = self.more.as_deref().cloned().unwrap_or_default();
        let code = self.error.code.to_string();
        let text = &self.error.detail;
        let status = self.status.as_u16();
        match shape {
            Shape::Public => {
                json!({"error": text, "status": status, "data": more.data, "error_code": code})
            }
            Shape::Event => {
                json!({"ids": more.ids, "status": status, "error": text, "error_code": code})
            }
            Shape::V2 => json!({
                "errors": [{"code": more.word.unwrap_or(v2_word(self.status)), "message": text}],
                "error_code": code,
            }),
            Shape::Svix => json!({
                "code": svix_word(self.status, self.error.code),
                "detail": more.detail.unwrap_or_else(|| text.as_str().into()),
                "error_code": code,
            }),
            Shape::Dodo => {
                let fields = more
                    .detail
                    .as_ref()
                    .and_then(|detail| detail.pointer("/0/loc"));
                let field = fields
                    .and_then(Value::as_array)
                    .and_then(|place| place.last());
                let message = match field.and_then(Value::as_str) {
                    Some(field) => format!("{field}: {text}"),
                    None => text.clone(),
                };
                json!({"code": dodo_word(self.status), "message": message, "error_code": code})
            }
        }
    }

    /// The response, in the shape of the API that was called.
    pub(crate) fn shaped(&self, shape: Shape) -> Response {
        let mut response = (self.status, axum::Json(self.body(shape))).into_response();
        self.mark(response.headers_mut());
        response
    }

    /// The response of SDK routes to wrong credentials, which is no JSON (SDK protocol).
    pub(crate) fn as_text(&self) -> Response {
        let mut response = (self.status, self.error.detail.clone()).into_response();
        self.mark(response.headers_mut());
        response
    }

    fn mark(&self, headers: &mut HeaderMap) {
        if let Ok(code) = HeaderValue::from_str(&self.error.code.to_string()) {
            headers.insert(ERROR_HEADER, code);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
    }
}

impl From<Coded> for Refused {
    fn from(error: Coded) -> Self {
        Self {
            status: status_of(error.code),
            error,
            more: None,
        }
    }
}

/// Leaves the body to the guard, which knows the route's shape.
impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The HTTP status that goes with a code unless a handler knows better.
pub(crate) fn status_of(code: Code) -> StatusCode {
    match code {
        Code::Unauthorized
        | Code::EventKeyWrong
        | Code::SignatureMissing
        | Code::SignatureWrong
        | Code::TimestampOff => StatusCode::UNAUTHORIZED,
        Code::InsufficientAccess => StatusCode::FORBIDDEN,
        Code::HostRefused | Code::OriginRefused | Code::SenderRefused | Code::ChallengeRefused => {
            StatusCode::FORBIDDEN
        }
        Code::NotFound | Code::SourceUnknown | Code::CardUnknown => StatusCode::NOT_FOUND,
        Code::MethodRefused => StatusCode::METHOD_NOT_ALLOWED,
        Code::Conflict | Code::StaleDispatch | Code::RunEnded => StatusCode::CONFLICT,
        Code::TooLarge | Code::StepOutputTooLarge | Code::StateTooLarge => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        Code::EndpointUrlBad
        | Code::AddressBlocked
        | Code::SecretWeak
        | Code::TransformSyntax
        | Code::TransformNoHandler
        | Code::TransformLength
        | Code::HeaderRefused => StatusCode::UNPROCESSABLE_ENTITY,
        Code::NotBuilt => StatusCode::NOT_IMPLEMENTED,
        Code::Overloaded | Code::ShuttingDown | Code::StoreBusy => StatusCode::SERVICE_UNAVAILABLE,
        Code::StoreRefused | Code::StoreCorrupt | Code::StoreDead => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The code for a status that came without one.
pub(crate) fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        401 => Code::Unauthorized,
        403 => Code::InsufficientAccess,
        404 => Code::NotFound,
        405 => Code::MethodRefused,
        409 => Code::Conflict,
        413 => Code::TooLarge,
        501 => Code::NotBuilt,
        500.. => Code::StoreDead,
        _ => Code::BadRequest,
    }
}

fn v2_word(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "invalid_signing_key",
        403 => "access_denied",
        404 | 405 => "not_found",
        409 => "resource_already_exists",
        422 => "validation_error",
        429 => "rate_limited",
        501 => "not_implemented",
        500.. => "internal_error",
        _ => "invalid_request",
    }
}

fn dodo_word(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        409 => "CONFLICT",
        429 => "TOO_MANY_REQUESTS",
        422 => "INVALID_REQUEST_BODY",
        500.. => "INTERNAL_SERVER_ERROR",
        _ => "INVALID_REQUEST_PARAMETERS",
    }
}

fn svix_word(status: StatusCode, code: Code) -> &'static str {
    match status.as_u16() {
        _ if code == Code::SecretsTooMany => "limit_reached",
        401 => "authentication_failed",
        403 => "insufficient_access",
        404 => "not_found",
        405 => "method_not_allowed",
        409 => "conflict",
        413 => "payload_too_large",
        422 => "validation_error",
        501 => "not_implemented",
        503 => "unavailable",
        500.. => "server_error",
        _ => "generic_error",
    }
}
