//! What there is to say of databases, for those who only ask.

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Row;
use crate::fault;
use crate::host::{Look, Query, Server};
use crate::resource::catalog;

/// A schema or an extension, as `get` shows it.
#[derive(Deserialize)]
struct Inside {
    schemas: Option<Vec<Schema>>,
    extensions: Option<Vec<Extension>>,
}

#[derive(Deserialize)]
struct Schema {
    name: String,
    owner: String,
}

#[derive(Deserialize)]
struct Extension {
    name: String,
    schema: String,
    version: String,
}

/// One database with what is inside of it; schemas and extensions are null where it accepts no connections.
pub fn get(look: &dyn Look, server: &Server, name: &str) -> Result<Value> {
    let query = Query {
        server: server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql: include_str!("../../sql/database.sql"),
        parameter: json!({ "names": [name], "counted": [] }),
    };
    let rows: Vec<Row> = look.rows(query.clone())?;
    let Some(row) = rows.into_iter().next() else {
        return Err(
            fault!(NotFound, "database `{name}` does not exist"; "list them with `pgsocle database list`"),
        );
    };
    let mut view = row.view();
    let (mut schemas, mut extensions) = (Value::Null, Value::Null);
    if row.allows_connections {
        let query = Query {
            database: name.to_owned(),
            sql: include_str!("../../sql/inner.sql"),
            parameter: json!({ "schemas": null, "absent_schemas": [], "absent_extensions": [] }),
            ..query
        };
        let inside: Option<Inside> = look.rows(query)?.pop();
        let inside = inside.unwrap_or(Inside {
            schemas: None,
            extensions: None,
        });
        schemas = inside
            .schemas
            .into_iter()
            .flatten()
            .map(|schema| json!({ "name": schema.name, "owner": schema.owner }))
            .collect();
        extensions = inside
            .extensions
            .into_iter()
            .flatten()
            .map(|extension| json!({ "name": extension.name, "schema": extension.schema, "version": extension.version }))
            .collect();
    }
    view.insert("schemas".into(), schemas);
    view.insert("extensions".into(), extensions);
    Ok(Value::Object(view))
}

/// Databases that accept connections, with their sizes in bytes: those named, or all, without those excluded.
pub fn list(
    look: &dyn Look,
    server: &Server,
    names: &[String],
    exclude: &[String],
) -> Result<Vec<Value>> {
    let query = Query {
        server: server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql: include_str!("../../sql/database_list.sql"),
        parameter: json!({ "names": names, "exclude": exclude }),
    };
    look.rows(query)
}
