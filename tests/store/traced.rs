//! traced
