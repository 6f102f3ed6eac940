//! The record images of the reader's tests, for the tests of the command.

#![allow(dead_code, missing_docs)]

use deadwalk_detector::counters::Counter;
use deadwalk_detector::record::layout;
use deadwalk_detector::{Api, Consequence, Kind, Op, histogram};

#[path = "../../src/record/reader/image.rs"]
mod image;

pub use image::*;
