package kafka

import "embed"

// Schemas holds schemas/*.json, JSON Schema 2020-12 of every record.
//
//go:embed schemas/*.json
var Schemas embed.FS

// AsyncAPI is the AsyncAPI 3 document of every topic.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte
