//! One provider of cryptography in the whole process.

/// Makes ring the provider of rustls. Call it first in `main`: the HTTP client is built without a provider of its own
/// and panics where none is there.
pub fn install_crypto_provider() {
    // An error means that one is installed already, and ring is the only one compiled in.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
