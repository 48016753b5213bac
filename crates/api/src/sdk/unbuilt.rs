//! Paths of the SDK protocol that are known and not there yet.

use dunlin_types::Code;
use http::{Method, Uri};

use crate::error::{Refused, Reply};

pub(super) async fn unbuilt(method: Method, uri: Uri) -> Reply {
    let detail = format!("this version does not have {method} {} yet", uri.path());
    Err(Refused::new(Code::NotBuilt, detail))
}
