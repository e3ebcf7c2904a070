pub mod sandbox { }
