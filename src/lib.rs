//! keyferry hands every program on a machine the right, unexpired request headers for MASV cloud, the local MASV Agent
//! and FileVerbs.
//!
//! # The map
//!
//! A module imports from floors below its own, and on its own floor only from names that stand before it here.
//! `tests/house.rs` holds it to that.
//!
//! | floor | what | modules |
//! |---|---|---|
//! | L0 | words, and the few system calls | [`error`] [`secret`] [`sys`] [`clock`] [`log`] |
//! | L1 | nouns | [`origin`] [`resource`] [`key`] [`request`] [`token`] [`config`] |
//! | L2 | ports: traits and values, each with its contract | [`http`] [`service`] [`store`] |
//! | L3 | kits | [`jwt`] [`document`] [`keyvalue`] |
//! | L4 | what others add | [`plugin`] |
//! | L5 | adapters, one file or folder each | [`services`] [`stores`] [`sources`] [`transport`] |
//! | L6 | the engine | [`arena`] [`record`] [`cache`] [`freshness`] [`refusal`] [`pace`] [`flight`] [`accounts`] [`engine`] [`wish`] [`keep`] [`exchange`] [`broker`] [`session`] [`report`] [`places`] [`offline`] [`wallet`] |
//! | L7 | doors, and the offline services | [`ffi`] [`sandbox`] [`frontends`] |
//! | L8 | programs | [`demo`] [`program`], `bin` |
//!
//! The walk of `masv_token_for`: [`ffi::masv`] → [`ffi::boundary`] → [`session`] → [`accounts`] → [`cache`] (a hit returns here) →
//! [`broker`] → [`flight`] → [`services`] → [`exchange`] → [`transport`], and back through [`store`] and [`cache`].

pub mod accounts;
pub mod arena;
pub mod broker;
pub mod cache;
pub mod clock;
pub mod config;
pub mod demo;
pub mod document;
pub mod engine;
pub mod error;
pub mod exchange;
pub mod ffi;
pub mod flight;
pub mod freshness;
pub mod frontends;
pub mod http;
pub mod jwt;
pub mod keep;
pub mod key;
pub mod keyvalue;
pub mod log;
pub mod offline;
pub mod origin;
pub mod pace;
pub mod places;
pub mod plugin;
pub mod program;
pub mod record;
pub mod refusal;
pub mod report;
pub mod request;
pub mod resource;
pub mod sandbox;
pub mod secret;
pub mod service;
pub mod services;
pub mod session;
pub mod sources;
pub mod store;
pub mod stores;
pub mod sys;
pub mod token;
pub mod transport;
pub mod wallet;
pub mod wish;

#[global_allocator]
static WIPING: sys::memory::Wiping = sys::memory::Wiping;
