//! deadwalk
