//! What the tests against devices and clients of others share: finding their programs, starting and ending them.
