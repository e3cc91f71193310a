//! A small HTTP server that refuses so many messages and takes the rest.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// The server; it goes on until the process ends.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// One request and the answer to it.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub headers: Vec<String>,
    pub body: Value,
    pub answer: u16,
}

impl Server {
    /// Answers so many requests with 500, and what comes later with 204.
    pub fn refusing(refusals: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/T0/hunter2?key=hunter2", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut seen = seen.lock().unwrap();
                let answer = if seen.len() < refusals { 500 } else { 204 };
                seen.push(answered(stream, answer));
            }
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn answered(stream: TcpStream, answer: u16) -> Request {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let length = head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.expect("a length")];
    reader.read_exact(&mut body).unwrap();
    let line = head.remove(0);
    write!(reader.get_mut(), "HTTP/1.1 {answer} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    Request { line, headers: head, body: serde_json::from_slice(&body).unwrap(), answer }
}
