//! Node with two million objects and workers: V8 keeps its heap to itself, the
//! runtime around it is ours.

use crate::assert_unchanged;
use deadwalk_tests::{Run, find_tool};

const SCRIPT: &str = "
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto'), zlib = require('zlib');
if (!isMainThread) {
    const part = [];
    for (let i = 0; i < 100000; i++) part.push({ id: i, worker: workerData, text: 'part ' + i });
    parentPort.postMessage(part.length);
} else {
    const objects = [];
    for (let i = 0; i < 2000000; i++) objects.push({ id: i, name: 'object ' + i, links: [i, i / 2] });
    let sum = 0;
    for (const object of objects) sum += object.links[1] + object.name.length;
    console.log(objects.length, sum);
    const text = JSON.stringify(objects.slice(0, 200000));
    const packed = zlib.gzipSync(text);
    console.log(text.length, zlib.gunzipSync(packed).toString() === text);
    console.log(crypto.createHash('sha256').update(text).digest('hex'));
    const buffers = [];
    for (let i = 0; i < 2000; i++) buffers.push(Buffer.alloc(i * 37 % 100000, i));
    console.log(Buffer.concat(buffers).length);
    let count = 0, left = 4;
    const ended = n => { count += n; if (--left == 0) console.log(count); };
    for (let w = 0; w < 4; w++) new Worker(__filename, { workerData: w }).on('message', ended);
    zlib.deflate(text, (error, result) => setTimeout(() => {}, 10));
}
";

#[test]
fn node_with_two_million_objects() {
    let Some(node) = find_tool("node") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("script.js");
    std::fs::write(&script, SCRIPT).expect("our folder");
    assert_unchanged(&Run::command([node, script]));
}
