package store

import (
	"fmt"
	"regexp"
	"strings"
)

// The same migrations serve a cluster: each CREATE TABLE becomes a Replicated
// table NAME_local on every server and a Distributed one called NAME on top.
// UNPROVED: the statements are known to parse, no cluster has run them.

var (
	createTable = regexp.MustCompile(`(?m)^CREATE TABLE IF NOT EXISTS (\w+)$`)
	tableEngine = regexp.MustCompile(`(?m)^ENGINE = (\w*)MergeTree(?:\(([^)]*)\))?$`)
	alterTable  = regexp.MustCompile(`(?m)^ALTER TABLE (\w+)$`)
	sortingKey  = regexp.MustCompile(`(?m)^ORDER BY `)
	validName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`) // as in server/config
)

func clusterName(s string) bool { return validName.MatchString(s) }

func onCluster(cluster string) string {
	if cluster == "" {
		return ""
	}
	return " ON CLUSTER " + quoteText(cluster)
}

// shardingKeys keep rows together that are counted together, so that distinct
// counts need no exchange between servers. Tables not named go to any server.
var shardingKeys = map[string]string{"events": "cityHash64(site, visitor)"}

// clustered rewrites one CREATE TABLE for a cluster, or one ALTER TABLE, after
// which the table on top takes over the columns of the local ones.
func clustered(statement, database, cluster string) ([]string, error) {
	if name := alterTable.FindStringSubmatch(statement); name != nil {
		local := alterTable.ReplaceAllLiteralString(statement, "ALTER TABLE "+name[1]+"_local"+onCluster(cluster))
		return []string{local, "CREATE OR REPLACE TABLE " + distributed(name[1], cluster)}, nil
	}
	name := createTable.FindStringSubmatch(statement)
	kind := tableEngine.FindStringSubmatch(statement)
	if name == nil || kind == nil || !sortingKey.MatchString(statement) {
		return nil, fmt.Errorf("this migration has no shape for a cluster: %.60s…", strings.TrimSpace(statement))
	}
	table := name[1]
	zookeeper := fmt.Sprintf("'/clickhouse/tables/{shard}/%s/%s', '{replica}'", database, table)
	if kind[2] != "" {
		zookeeper += ", " + kind[2]
	}
	local := createTable.ReplaceAllLiteralString(statement, "CREATE TABLE IF NOT EXISTS "+table+"_local"+onCluster(cluster))
	local = tableEngine.ReplaceAllLiteralString(local, "ENGINE = Replicated"+kind[1]+"MergeTree("+zookeeper+")")
	return []string{local, "CREATE TABLE IF NOT EXISTS " + distributed(table, cluster)}, nil
}

// distributed defines the table on top of the local ones, with their columns.
func distributed(table, cluster string) string {
	sharding := shardingKeys[table]
	if sharding == "" {
		sharding = "rand()"
	}
	return fmt.Sprintf("%s%s AS %s_local ENGINE = Distributed(%s, currentDatabase(), %s_local, %s)",
		table, onCluster(cluster), table, quoteText(cluster), table, sharding)
}

// mutable is what ALTER has to name to change rows of a table.
func (s *Store) mutable(table string) string {
	if s.o.Cluster == "" {
		return table
	}
	return table + "_local" + onCluster(s.o.Cluster)
}
