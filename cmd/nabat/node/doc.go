// Package node is one engine process as a whole: the data directory that it
// holds, the PostgreSQL and the broker that it brings along when it was given
// none, its sockets, and the engine on top.
//
// Order of the start: directory, sockets (a port that is taken is found before
// anything else is touched), database, broker, engine. The stop is the opposite,
// each step bounded. An embedded server that dies while we run is started again
// on the same files and port, with a pause that grows; until it is back its
// clients go on as with any database or broker that is away.
package node
