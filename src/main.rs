//! The one binary: every service and every operator command of Larder.
fn main() {}
