#[derive(Debug, Clone)]
pub struct Hba(Vec<u8>);
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: ConnectionType,
    pub databases: Vec<String>,
    pub users: Vec<String>,
    pub address: Option<String>,
    pub netmask: Option<String>,
    pub method: String,
    pub options: Vec<(String, String)>,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionType {
    Local,
    Host,
}
impl From<&str> for ConnectionType {
    fn from(_: &str) -> Self {
        Self::Host
    }
}
pub enum Position {
    Last,
}
impl Hba {
    pub fn parse(b: &[u8]) -> anyhow::Result<Self> {
        Ok(Self(b.to_vec()))
    }
    pub fn render(&self) -> Vec<u8> {
        self.0.clone()
    }
    pub fn add(&mut self, _: &Record, _: &Position) -> bool {
        false
    }
    pub fn remove(&mut self, _: &Record) -> bool {
        false
    }
}
