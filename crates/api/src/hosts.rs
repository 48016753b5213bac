//! Which hosts a request may name, and which origins it may come from: a web page must not reach
//! a local server through a name that it controls.
