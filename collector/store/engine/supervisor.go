package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Config says how [Start] runs the engine.
type Config struct {
	Options

	// Command starts the child; its arguments follow. Empty means this
	// executable with the argument "engine".
	Command []string

	// CheckEvery is the time between two checks that the engine still
	// answers, CheckDeadline how long it may take over one before it is
	// killed and started again. 0 means 5 s and 20 s.
	CheckEvery, CheckDeadline time.Duration

	Logger *slog.Logger // nil discards
}

const (
	// startDeadline is how long a child may take until it answers. It first
	// waits for the lock, and after a kill the engine reads its parts.
	startDeadline = lockWait + time.Minute
	// A child that dies is started again after minBackoff, then after twice
	// as long each time, up to maxBackoff; one that lived for calm starts
	// over.
	minBackoff, maxBackoff, calm = 50 * time.Millisecond, 5 * time.Second, 20 * time.Second
	// leaveDeadline is how long a child may take to leave before it is killed.
	leaveDeadline = drain + 5*time.Second
)

// Supervisor keeps one engine child running until it is closed. It is safe for
// concurrent use.
type Supervisor struct {
	config Config
	log    *slog.Logger
	stop   context.CancelFunc
	done   chan struct{} // closed when the child is gone for good

	mu      sync.Mutex
	ready   chan struct{} // closed while a child answers; a new one after it died
	up      bool
	pid     int
	starts  int
	failure error // why the last child ended
	failed  chan struct{}
}

// Start starts the engine and returns at once; see [Supervisor.Ready]. The
// caller closes the supervisor.
func Start(c Config) (*Supervisor, error) {
	if os.Getenv(childVariable) != "" {
		return nil, errors.New("an engine's child must not start another: call engine.MainIfChild first in main or TestMain")
	}
	if len(c.Command) == 0 {
		self, err := os.Executable()
		if err == nil {
			self, err = filepath.EvalSymlinks(self)
		}
		if err != nil {
			return nil, fmt.Errorf("find this executable, to start the engine: %w", err)
		}
		c.Command = []string{self, "engine"}
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve the engine's directory: %w", err)
	}
	c.Dir = dir
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the engine's directory: %w", err)
	}
	if c.Socket == "" {
		c.Socket = SocketPath(c.Dir)
	}
	if c.CheckEvery == 0 {
		c.CheckEvery = 5 * time.Second
	}
	if c.CheckDeadline == 0 {
		c.CheckDeadline = 20 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Supervisor{
		config: c, log: c.Logger, stop: stop, done: make(chan struct{}),
		ready: make(chan struct{}), failed: make(chan struct{}),
	}
	go s.supervise(ctx)
	return s, nil
}

// Ready waits until the engine answers. Where it never has, the error of its
// first failed start comes back; where it is being started again, Ready waits.
func (s *Supervisor) Ready(ctx context.Context) error {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	select {
	case <-ready:
		return nil
	default:
	}
	select {
	case <-ready:
		return nil
	case <-s.failed:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.failure
	case <-s.done:
		return errors.New("the engine is closed")
	case <-ctx.Done():
		return fmt.Errorf("wait for the engine: %w", ctx.Err())
	}
}

// Dial connects to the engine's socket; see [DialFunc].
func (s *Supervisor) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return DialFunc(s.config.Socket)(ctx, addr)
}

// Process returns the id of the running child, 0 where there is none, and how
// often one was started.
func (s *Supervisor) Process() (pid, starts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid, s.starts
}

// Close tells the child to leave and waits until it has. Statements that run
// get a few seconds to end.
func (s *Supervisor) Close() error {
	s.stop()
	<-s.done
	return nil
}

// supervise runs one child after another until ctx is done.
func (s *Supervisor) supervise(ctx context.Context) {
	defer close(s.done)
	backoff := minBackoff
	for ctx.Err() == nil {
		started := time.Now()
		err := s.runChild(ctx)
		s.ended(err)
		if ctx.Err() != nil {
			if err != nil {
				s.log.WarnContext(ctx, "engine did not leave in order", "err", err)
			}
			return
		}
		if time.Since(started) > calm {
			backoff = minBackoff
		}
		s.log.ErrorContext(ctx, "engine ended; starting it again", "err", err, "after", backoff)
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// runChild starts a child, watches it, and waits until it is gone.
func (s *Supervisor) runChild(ctx context.Context) error {
	o := s.config.Options
	args := append(append([]string{}, s.config.Command[1:]...),
		"--library="+o.Library, "--dir="+o.Dir, "--socket="+o.Socket, "--max-memory="+strconv.FormatInt(o.MaxMemory, 10))
	cmd := exec.Command(s.config.Command[0], args...)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Dir = o.Dir // what the engine leaves behind it leaves there
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	said := &lineLog{log: s.log}
	announced := &firstLine{found: make(chan struct{})}
	cmd.Stderr, cmd.Stdout = said, announced
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	s.started(cmd.Process.Pid)
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()

	watch, unwatch := context.WithCancel(ctx)
	defer unwatch()
	sick := make(chan error, 1)
	go func() { sick <- s.watch(watch, announced.found) }()

	select {
	case err := <-exited:
		return exitError(err, said)
	case err := <-sick:
		if ctx.Err() == nil {
			return errors.Join(err, cmd.Process.Kill(), ignoreExit(<-exited))
		}
	}
	// Closing its standard input is what tells the child to leave.
	if err := stdin.Close(); err != nil {
		return errors.Join(err, cmd.Process.Kill(), ignoreExit(<-exited))
	}
	select {
	case err := <-exited:
		return exitError(err, said)
	case <-time.After(leaveDeadline):
		return errors.Join(errors.New("the engine did not leave in time"), cmd.Process.Kill(), ignoreExit(<-exited))
	}
}

// ignoreExit drops the exit status of a child that was killed on purpose.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

func exitError(err error, said *lineLog) error {
	if err == nil {
		return nil
	}
	if last := said.lastLine(); last != "" {
		return fmt.Errorf("the engine ended (%w): %s", err, last)
	}
	return fmt.Errorf("the engine ended: %w", err)
}

// watch waits for the child's announcement, then asks it again and again
// whether it still answers. It returns why the child has to go, or ctx's
// error.
func (s *Supervisor) watch(ctx context.Context, announced <-chan struct{}) error {
	select {
	case <-announced:
	case <-time.After(startDeadline):
		return fmt.Errorf("the engine did not start within %s", startDeadline)
	case <-ctx.Done():
		return ctx.Err()
	}
	tick := time.NewTicker(s.config.CheckEvery)
	defer tick.Stop()
	for {
		check, cancel := context.WithTimeout(ctx, s.config.CheckDeadline)
		err := Alive(check, s.config.Socket)
		cancel()
		if err != nil {
			return err
		}
		s.answers()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Supervisor) started(pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pid = pid
	s.starts++
}

func (s *Supervisor) answers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up {
		s.up = true
		close(s.ready)
		s.log.Info("engine is up", "pid", s.pid)
	}
}

func (s *Supervisor) ended(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pid = 0
	s.failure = err
	if s.up {
		s.up = false
		s.ready = make(chan struct{})
	} else if s.starts == 1 {
		close(s.failed)
	}
}
