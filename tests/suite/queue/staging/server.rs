//! A small web server whose every answer is laid down beforehand.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How one request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With all of it.
    Whole(String),
    /// With this status.
    Status(u16),
    /// With so much of it as was promised, and then no more.
    BreaksOff(String, usize),
    /// With so much of it, and the rest when whoever asked has gone.
    Hangs(String),
}

/// The server; it goes on until the process ends.
pub struct Web {
    pub url: String,
    answers: Arc<Mutex<HashMap<String, VecDeque<Answer>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub fn new() -> Self {
        Self::at("127.0.0.1:0").unwrap()
    }

    /// At an address, which must be free.
    pub fn at(address: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let url = format!("http://{}", listener.local_addr()?);
        let web = Self { url, answers: Arc::default(), asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&web.answers), Arc::clone(&web.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
                std::thread::spawn(move || answer(stream, &answers, &asked));
            }
        });
        Ok(web)
    }

    /// Lays down the answers for a path, in order; the last one stays. Its URL.
    pub fn serve(&self, path: &str, answers: &[Answer]) -> String {
        self.answers.lock().unwrap().insert(path.to_owned(), answers.iter().cloned().collect());
        format!("{}{path}", self.url)
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}

fn answer(
    stream: TcpStream,
    answers: &Mutex<HashMap<String, VecDeque<Answer>>>,
    asked: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    while line.trim_end() != "" {
        line.clear();
        reader.read_line(&mut line).ok()?;
    }
    let answer = {
        let mut answers = answers.lock().unwrap();
        let all = answers.entry(path.clone()).or_default();
        if all.len() > 1 { all.pop_front() } else { all.front().cloned() }
    };
    let mut stream = reader.into_inner();
    let mut send = |status: u16, length: usize, text: &str| {
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        stream.write_all(format!("{head}{text}").as_bytes()).ok()?;
        stream.flush().ok()
    };
    match answer.unwrap_or(Answer::Status(404)) {
        Answer::Whole(text) => send(200, text.len(), &text),
        Answer::Status(status) => send(status, 0, ""),
        Answer::BreaksOff(text, length) => send(200, text.len(), &text[..length]),
        Answer::Hangs(text) => {
            send(200, text.len() * 2, &text)?;
            asked.lock().unwrap().push(path.clone());
            // Until the other side has gone.
            let _ = stream.read(&mut [0]);
            return Some(());
        }
    }?;
    asked.lock().unwrap().push(path);
    Some(())
}
