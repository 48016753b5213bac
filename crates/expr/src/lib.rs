//! The SDKs' expression dialect: parse once, evaluate with a budget.
