// Package kafka is the driver between package routing and Apache Kafka, and the
// one place that knows franz-go. It also holds what other systems build on: the
// AsyncAPI document and the JSON Schemas of every record.
//
// # Topics
//
// EnsureTopics creates what is missing and changes nothing that exists:
//
//	topic                      partitions  written by
//	nabat.incidents.<service>  12          the engine; key = incident id
//	nabat.replies.<service>    12          the service; key = incident id
//	nabat.journal              12          the engine; key = incident id
//	nabat.notifications        12          nobody yet; key = account
//	nabat.deadletter           3           the engine; records up to 4 MiB
//
// Partitions are fixed, because a key's partition, and with it the order within
// an incident, depends on their number. Where there are three brokers or more
// the replication factor is 3 and min.insync.replicas 2; otherwise both are 1,
// and doctor says that a broker's disk is then the only copy.
//
// # Guarantees
//
// A Producer writes with acks=all and idempotently, retries without end inside
// the client and never reorders a partition. It answers routing.ErrRefused only
// for what the broker can never take; missing rights and missing topics are
// waited for, because people can mend them. Each Producer is a connection of its
// own, so that one topic's trouble is not another's.
//
// A Consumer is a member of a group, starts a new group at the beginning, reads
// only committed transactions, and commits only what it is told to. The partitions
// of a member that died are given to the others after six seconds.
//
// New does no I/O. Goroutines belong to the clients and are gone after Close.
package kafka
