//! The sandbox alone, until the rest of the house stands around it.

pub mod sandbox;
