package engine

import (
	"bufio"
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// lineLog logs what the child writes to standard error, line by line.
type lineLog struct {
	log *slog.Logger

	mu   sync.Mutex
	rest []byte
	last string
}

// maxLine is where a line of the child is cut.
const maxLine = 2 << 10

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found && len(l.rest) < maxLine {
			return len(p), nil
		}
		l.rest = append([]byte(nil), rest...)
		if text := strings.TrimSpace(string(line[:min(len(line), maxLine)])); text != "" {
			l.last = text
			l.log.Warn("engine says", "line", text)
		}
	}
}

func (l *lineLog) lastLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rest := strings.TrimSpace(string(l.rest)); rest != "" {
		return rest
	}
	return l.last
}

// firstLine waits for readyLine in what the child writes to standard output.
type firstLine struct {
	seen  []byte
	found chan struct{}
	once  sync.Once
}

func (f *firstLine) Write(p []byte) (int, error) {
	f.seen = append(f.seen, p...)
	scan := bufio.NewScanner(bytes.NewReader(f.seen))
	for scan.Scan() {
		if scan.Text() == readyLine {
			f.once.Do(func() { close(f.found) })
		}
	}
	if len(f.seen) > maxLine {
		f.seen = f.seen[len(f.seen)-maxLine:]
	}
	return len(p), nil
}
