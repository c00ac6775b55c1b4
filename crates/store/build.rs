//! A new migration file is a reason to build again: the migrations are part of the binary.
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
