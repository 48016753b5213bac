//! Credentials, compared in constant time.
