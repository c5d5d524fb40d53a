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
	addColumns  = regexp.MustCompile(`(?m)^ALTER TABLE (\w+)$`)
	createTable = regexp.MustCompile(`(?m)^CREATE TABLE IF NOT EXISTS (\w+)$`)
	tableEngine = regexp.MustCompile(`(?m)^ENGINE = (\w*)MergeTree(?:\(([^)]*)\))?$`)
	sortingKey  = regexp.MustCompile(`(?m)^ORDER BY `)
	validName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
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

// clustered rewrites one CREATE TABLE for a cluster, or one ALTER TABLE that
// adds columns: they are added below first.
func clustered(statement, database, cluster string) ([]string, error) {
	if alter := addColumns.FindStringSubmatch(statement); alter != nil && strings.Contains(statement, "ADD COLUMN IF NOT EXISTS") {
		var out []string
		for _, table := range []string{alter[1] + "_local", alter[1]} {
			out = append(out, addColumns.ReplaceAllLiteralString(statement, "ALTER TABLE "+table+onCluster(cluster)))
		}
		return out, nil
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
	sharding := shardingKeys[table]
	if sharding == "" {
		sharding = "rand()"
	}
	top := fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s AS %s_local ENGINE = Distributed(%s, currentDatabase(), %s_local, %s)",
		table, onCluster(cluster), table, quoteText(cluster), table, sharding)
	return []string{local, top}, nil
}

// mutable is what ALTER has to name to change rows of a table.
func (s *Store) mutable(table string) string {
	if s.o.Cluster == "" {
		return table
	}
	return table + "_local" + onCluster(s.o.Cluster)
}
