//! Lists: what a query asks for, and slices of lists that name their neighbours.

use axum::extract::{FromRequestParts, Query};
use axum::response::IntoResponse;
use dunlin_store::{Page, StoreResult};
use dunlin_types::limits::{
    LIST_BODIES_BYTES_MAX, LIST_ROWS_READ_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX,
};
use dunlin_types::{Code, Coded, Ksuid, KsuidKind, Seq, Timestamp};
use http::request::Parts;
use serde::Serialize;

use super::fields::bad;
use crate::error::{Refused, Reply};

/// Rows read at a time, so that large bodies beyond the page are not loaded for nothing.
const CHUNK_ROWS: usize = 32;

/// The parameters of a query, in order; arrays are repeated or joined by commas.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        pairs
            .map(|Query(pairs)| Self(pairs))
            .map_err(|_| Refused::new(Code::BadRequest, "the query cannot be read"))
    }
}

impl Asked {
    /// A parameter, unless it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(key, _)| key == name);
        found
            .flat_map(|(_, value)| value.split(','))
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A parameter that is true or false.
    pub(crate) fn flag(&self, name: &str, otherwise: bool) -> Result<bool, Refused> {
        match self.text(name) {
            None => Ok(otherwise),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(wrong(name, "must be true or false")),
        }
    }

    /// A parameter that is a number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u16>, Refused> {
        let text = self.text(name);
        text.map(|text| text.parse().map_err(|_| wrong(name, "must be a number")))
            .transpose()
    }

    /// A parameter that is an instant.
    pub(crate) fn instant(&self, name: &str) -> Result<Option<Timestamp>, Refused> {
        let parse = |text| {
            Timestamp::parse_rfc3339(text).ok_or_else(|| wrong(name, "must be an RFC 3339 time"))
        };
        self.text(name).map(parse).transpose()
    }

    /// Which slice of a list of rows of that kind is asked for.
    pub(crate) fn window(&self, kind: KsuidKind, ascending: bool) -> Result<Window, Refused> {
        let limit = match self.number("limit")? {
            None => PAGE_ITEMS_DEFAULT,
            Some(limit) if (1..=PAGE_ITEMS_MAX).contains(&limit.into()) => limit.into(),
            Some(_) => return Err(wrong("limit", &format!("must be 1 to {PAGE_ITEMS_MAX}"))),
        };
        let ascending = match self.text("order") {
            None => ascending,
            Some("ascending") => true,
            Some("descending") => false,
            Some(_) => return Err(wrong("order", "must be ascending or descending")),
        };
        let iterator = self.text("iterator").unwrap_or_default();
        let back = iterator.starts_with('-');
        let cursor = match iterator.trim_start_matches('-') {
            "" => None,
            text => Some(
                Ksuid::parse(kind, text)
                    .map_err(|_| wrong("iterator", "is none that a list gave"))?
                    .seq,
            ),
        };
        Ok(Window {
            limit,
            cursor,
            back,
            ascending,
        })
    }
}

/// A parameter of the query is wrong.
pub(crate) fn wrong(name: &str, what: &str) -> Refused {
    let error = Coded::new(Code::BadRequest, format!("`{name}` {what}"));
    bad(&["query", name], error)
}

/// A slice of a list that is ordered by place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    limit: usize,
    cursor: Option<Seq>,
    back: bool,
    ascending: bool,
}

/// The rows of a window.
#[derive(Debug)]
pub(crate) struct Slice<T> {
    pub(crate) rows: Vec<T>,
    /// The last row that was looked at, where that is not the last of `rows`.
    stopped_at: Option<T>,
    more: bool,
    back: bool,
}

impl Window {
    /// The slice of a list that is in memory, oldest first.
    pub(crate) fn of<T>(
        self,
        all: impl DoubleEndedIterator<Item = T>,
        seq: impl Fn(&T) -> Seq,
    ) -> Slice<T> {
        let upwards = self.ascending != self.back;
        let beyond = |row: &T| match self.cursor {
            None => true,
            Some(cursor) if upwards => seq(row) > cursor,
            Some(cursor) => seq(row) < cursor,
        };
        let items = self.limit + 1;
        let rows: Vec<T> = if upwards {
            all.filter(beyond).take(items).collect()
        } else {
            all.rev().filter(beyond).take(items).collect()
        };
        self.finish(rows, None)
    }

    /// The slice of a list that is in the store, of those rows that are to be kept. Reads no more
    /// than a bounded number of rows and bytes: a slice may be shorter than asked, and say so.
    pub(crate) fn read<T: Clone>(
        self,
        mut read: impl FnMut(Page) -> StoreResult<Vec<T>>,
        seq: impl Fn(&T) -> Seq,
        keep: impl Fn(&T) -> bool,
        weight: impl Fn(&T) -> usize,
    ) -> StoreResult<Slice<T>> {
        let mut after = self.cursor;
        let mut rows = Vec::new();
        let (mut seen, mut bytes) = (0, 0);
        loop {
            let ascending = self.ascending != self.back;
            let items = CHUNK_ROWS.min(self.limit + 1);
            let chunk = read(Page {
                after,
                items,
                ascending,
            })?;
            let ended = chunk.len() < items;
            let last = chunk.last().cloned();
            seen += chunk.len();
            // What is not kept was read as well.
            bytes += chunk.iter().map(&weight).sum::<usize>();
            rows.extend(chunk.into_iter().filter(&keep));
            if ended || rows.len() > self.limit {
                return Ok(self.finish(rows, None));
            }
            after = last.as_ref().map(&seq);
            if seen >= LIST_ROWS_READ_MAX || bytes >= LIST_BODIES_BYTES_MAX {
                return Ok(self.finish(rows, last));
            }
        }
    }

    fn finish<T>(self, mut rows: Vec<T>, stopped_at: Option<T>) -> Slice<T> {
        let more = stopped_at.is_some() || rows.len() > self.limit;
        rows.truncate(self.limit);
        if self.back {
            rows.reverse();
        }
        Slice {
            rows,
            stopped_at,
            more,
            back: self.back,
        }
    }
}

impl<T> Slice<T> {
    /// The list as the API writes it.
    pub(crate) fn reply<U: Serialize>(
        self,
        id: impl Fn(&T) -> String,
        show: impl FnMut(T) -> U,
    ) -> Reply {
        Ok(axum::Json(self.list(id, show)).into_response())
    }

    /// The same, for answers that tell more beside the list.
    pub(crate) fn list<U: Serialize>(
        self,
        id: impl Fn(&T) -> String,
        show: impl FnMut(T) -> U,
    ) -> List<U> {
        let edge = |edge: Option<&T>, stopped_here: bool| {
            let stopped = self.stopped_at.as_ref().filter(|_| stopped_here);
            stopped.or(edge).map(&id)
        };
        let iterator = edge(self.rows.last(), !self.back);
        let first = edge(self.rows.first(), self.back);
        let previous = first.map(|id| format!("-{id}"));
        let done = !self.more;
        let data: Vec<U> = self.rows.into_iter().map(show).collect();
        List {
            data,
            iterator,
            previous,
            done,
        }
    }
}

/// A list as the API writes it.
#[derive(Debug, Serialize)]
pub(crate) struct List<U> {
    data: Vec<U>,
    iterator: Option<String>,
    #[serde(rename = "prevIterator")]
    previous: Option<String>,
    done: bool,
}

impl<U> List<U> {
    /// Where to go on, unless the slice is empty.
    pub(crate) fn iterator(&self) -> Option<String> {
        self.iterator.clone()
    }

    /// Whether there is no more for now.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    pub(crate) fn into_data(self) -> Vec<U> {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(query: &str) -> Result<Window, Refused> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let owned = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Asked(owned.collect()).window(KsuidKind::Message, false)
    }

    fn id(seq: u64) -> String {
        let at = Timestamp::from_ms(1_700_000_000_000);
        Ksuid::new(KsuidKind::Message, at, Seq(seq)).to_string()
    }

    fn numbers(slice: &Slice<u64>) -> Vec<u64> {
        slice.rows.clone()
    }

    #[test]
    fn a_list_can_be_walked_forwards_and_back() {
        let slice = |query: &str| window(query).unwrap().of(1..=5, |n| Seq(*n));
        let first = slice("limit=2");
        assert_eq!((numbers(&first), first.more), (vec![5, 4], true));
        let rest = slice(&format!("limit=4&iterator={}", id(4)));
        assert_eq!((numbers(&rest), rest.more), (vec![3, 2, 1], false));
        let back = slice(&format!("limit=2&iterator=-{}", id(2)));
        assert_eq!((numbers(&back), back.more), (vec![4, 3], true));
        let up = slice("limit=2&order=ascending");
        assert_eq!(numbers(&up), [1, 2]);
    }

    #[test]
    fn a_slice_of_the_store_reads_on_until_enough_rows_are_kept() {
        let mut reads = 0;
        let slice = window("limit=3")
            .unwrap()
            .read(
                |page| {
                    reads += 1;
                    let from = page.after.map_or(1000, |seq| seq.0 - 1);
                    Ok((1..=from).rev().take(page.items).collect())
                },
                |n| Seq(*n),
                |n| n % 100 == 0,
                |_| 1,
            )
            .unwrap();
        assert_eq!((numbers(&slice), slice.more), (vec![1000, 900, 800], true));
        assert!(reads > 10);
    }

    #[test]
    fn a_slice_that_gives_up_says_where_to_go_on() {
        let slice = window("limit=3")
            .unwrap()
            .read(
                |page| {
                    let from = page.after.map_or(1_000_000, |seq| seq.0 - 1);
                    Ok((1..=from).rev().take(page.items).collect())
                },
                |n: &u64| Seq(*n),
                |_| false,
                |_| 1,
            )
            .unwrap();
        assert!(slice.rows.is_empty() && slice.more);
        assert!(slice.stopped_at.is_some());
    }

    #[test]
    fn a_slice_ends_where_enough_has_been_read_even_if_none_of_it_is_kept() {
        let mut reads = 0;
        let slice = window("limit=3")
            .unwrap()
            .read(
                |page| {
                    reads += 1;
                    let from = page.after.map_or(1_000_000, |seq| seq.0 - 1);
                    Ok((1..=from).rev().take(page.items).collect())
                },
                |n: &u64| Seq(*n),
                |_| false,
                |_| LIST_BODIES_BYTES_MAX / 4,
            )
            .unwrap();
        assert!(slice.rows.is_empty() && slice.more);
        assert_eq!(reads, 1);
    }

    #[test]
    fn what_a_query_cannot_mean_is_refused() {
        for query in [
            "limit=0",
            "limit=251",
            "limit=x",
            "iterator=msg_1",
            "order=up",
        ] {
            assert_eq!(window(query).unwrap_err().status, 422, "{query}");
        }
    }
}
