//! The JSON report, and what tests assert about it.

use serde_json::Value;
use std::path::Path;

/// A report of schema `deadwalk.report/1`.
#[derive(Debug)]
pub struct Report(Value);

/// One finding: a kind at one set of sites.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'a>(&'a Value);

/// One stack frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a>(&'a Value);

/// How bad a finding is; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Legal, worth counting.
    Info,
    /// A race that did no harm this time.
    Warning,
    /// Harm, or certain misuse.
    Error,
}

impl Report {
    /// Reads a report from a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is no JSON, or is of another schema.
    pub fn read(path: &Path) -> Result<Report, String> {
        Report::parse(&std::fs::read_to_string(path).map_err(|e| e.to_string())?)
    }

    /// Reads a report from the text that `deadwalk report --format json` prints.
    ///
    /// # Errors
    ///
    /// If it is no JSON or is of another schema.
    pub fn parse(text: &str) -> Result<Report, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        match value["schema"].as_str() {
            Some("deadwalk.report/1") => Ok(Report(value)),
            other => Err(format!("schema is {other:?}")),
        }
    }

    /// A number under `totals` by its JSON path, such as `del.calls`.
    #[track_caller]
    pub fn counter(&self, path: &str) -> u64 {
        let totals = &self.0["totals"];
        let value = path.split('.').fold(totals, |value, key| &value[key]);
        value.as_u64().unwrap_or_else(|| panic!("totals.{path} is no number in {totals:#}"))
    }

    /// An object under `totals`, as JSON.
    pub fn total(&self, name: &str) -> &Value {
        &self.0["totals"][name]
    }

    /// Every finding.
    pub fn findings(&self) -> Vec<Finding<'_>> {
        self.0["findings"].as_array().into_iter().flatten().map(Finding).collect()
    }

    /// The findings of one kind.
    pub fn of_kind(&self, kind: &str) -> Vec<Finding<'_>> {
        self.findings().into_iter().filter(|finding| finding.kind() == kind).collect()
    }

    /// How often a kind was found at that severity, over all sites.
    pub fn count(&self, kind: &str, severity: Severity) -> u64 {
        let found = self.of_kind(kind);
        found.iter().filter(|f| f.severity() == severity).map(Finding::count).sum()
    }

    /// The processes, as JSON.
    pub fn processes(&self) -> &[Value] {
        self.0["processes"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The sites of deletes, as JSON.
    pub fn del_sites(&self) -> &[Value] {
        self.0["del_sites"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The live blocks at the end by allocation site, as JSON.
    pub fn heap_sites(&self) -> &[Value] {
        self.0["heap_sites"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The only delete site of that operation, such as `timer_delete`.
    #[track_caller]
    pub fn only_site(&self, op: &str) -> &Value {
        let mut sites = self.del_sites().iter().filter(|site| site["op"] == op);
        let site = sites.next().unwrap_or_else(|| panic!("no {op} site: {self}"));
        assert!(sites.next().is_none(), "more than one {op} site: {self}");
        site
    }

    /// Asserts that there is no warning and no error.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(!self.is_loud(), "no warning and no error: {self}");
    }

    /// Whether there is a warning or an error.
    pub fn is_loud(&self) -> bool {
        self.findings().iter().any(|finding| finding.severity() > Severity::Info)
    }

    /// Asserts that there is no error.
    #[track_caller]
    pub fn assert_no_error(&self) {
        let errors = self.findings().iter().any(|f| f.severity() == Severity::Error);
        assert!(!errors, "no error: {self}");
    }

    /// Asserts that a kind was found and that `severity` is its worst; returns
    /// the first finding of that kind and severity.
    #[track_caller]
    pub fn assert_kind(&self, kind: &str, severity: Severity) -> Finding<'_> {
        let found = self.of_kind(kind);
        let worst = found.iter().map(Finding::severity).max();
        assert_eq!(worst, Some(severity), "worst {kind}: {self}");
        let first = found.into_iter().find(|finding| finding.severity() == severity);
        first.expect("the worst is among them")
    }

    /// Asserts that a kind was found once or more, whatever its severity.
    #[track_caller]
    pub fn assert_seen(&self, kind: &str) -> Finding<'_> {
        let found = self.of_kind(kind);
        *found.first().unwrap_or_else(|| panic!("{kind} is found: {self}"))
    }

    /// Asserts that a kind was not found at all.
    #[track_caller]
    pub fn assert_none(&self, kind: &str) {
        assert!(self.of_kind(kind).is_empty(), "no {kind}: {self}");
    }

    /// Asserts that every warning and error is of one of these kinds.
    #[track_caller]
    pub fn assert_only(&self, kinds: &[&str]) {
        for finding in self.findings() {
            let expected = kinds.contains(&finding.kind());
            assert!(expected || finding.severity() == Severity::Info, "only {kinds:?}: {self}");
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:#}", self.0)
    }
}

impl<'a> Finding<'a> {
    /// The kebab-case kind.
    pub fn kind(&self) -> &'a str {
        self.text("kind")
    }

    /// The severity.
    #[track_caller]
    pub fn severity(&self) -> Severity {
        match self.text("severity") {
            "info" => Severity::Info,
            "warning" => Severity::Warning,
            "error" => Severity::Error,
            other => panic!("{other:?} is no severity: {:#}", self.0),
        }
    }

    /// How often it happened.
    pub fn count(&self) -> u64 {
        self.0["count"].as_u64().unwrap_or(0)
    }

    /// A text field, or "".
    pub fn text(&self, field: &str) -> &'a str {
        self.0[field].as_str().unwrap_or("")
    }

    /// A field of its access: `addr`, `size`, `offset`, `before`, `after` ...
    pub fn access(&self, field: &str) -> &'a Value {
        &self.0["access"][field]
    }

    /// What the place of a stale access did, in this finding and others.
    pub fn accesses(&self) -> &'a Value {
        &self.0["accesses"]
    }

    /// Whether it happened in the handler's last instructions only.
    pub fn is_tail(&self) -> bool {
        self.0["tail"] == true
    }

    /// The C library's fault, not the program's.
    #[must_use]
    pub fn is_libc_bug(&self) -> bool {
        self.0["libc_bug"] == true
    }

    /// Whether the program called the explicitly asynchronous name.
    pub fn is_declared_async(&self) -> bool {
        self.0["declared_async"] == true
    }

    /// One of its stacks, innermost frame first.
    pub fn stack(&self, name: &str) -> Vec<Frame<'a>> {
        self.0["stacks"][name].as_array().into_iter().flatten().map(Frame).collect()
    }

    /// Asserts that a frame of that stack is in `function`.
    #[track_caller]
    pub fn assert_stack(&self, name: &str, function: &str) {
        let hit = self.stack(name).iter().any(|frame| frame.function() == Some(function));
        assert!(hit, "stack {name} has {function}: {:#}", self.0);
    }
}

impl<'a> Frame<'a> {
    /// A frame of a delete site.
    pub fn of(value: &'a Value) -> Frame<'a> {
        Frame(value)
    }

    /// The function, if known.
    pub fn function(&self) -> Option<&'a str> {
        self.0["function"].as_str()
    }

    /// The last part of the source file's path, if known.
    pub fn file_name(&self) -> Option<&'a str> {
        self.0["file"].as_str().and_then(|path| path.rsplit('/').next())
    }

    /// The line, if known.
    pub fn line(&self) -> Option<u64> {
        self.0["line"].as_u64()
    }

    /// The last part of the module's path.
    pub fn module_name(&self) -> Option<&'a str> {
        self.0["module"].as_str().and_then(|path| path.rsplit('/').next())
    }

    /// The offset within the module.
    pub fn offset(&self) -> Option<&'a str> {
        self.0["offset"].as_str()
    }
}
