#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "waymark/sync.h"

static int64_t elapsed_ms(struct wm_mono_ns since)
{
    return (wm_clock_mono(&wm_clock_system).ns - since.ns) / WM_NS_PER_MS;
}

struct sleeper {
    struct wm_stop stop;
    bool stopped;
    sigset_t blocked;
};

static void *sleep_until_stopped(void *arg)
{
    struct sleeper *s = arg;
    pthread_sigmask(SIG_BLOCK, NULL, &s->blocked);
    s->stopped = wm_stop_wait_ms(&s->stop, 60000);
    return NULL;
}

static void stop_wakes_a_sleeping_thread(void **state)
{
    (void)state;
    struct sleeper s = {.stopped = false};
    pthread_t thread;
    wm_stop_init(&s.stop);
    struct wm_mono_ns began = wm_clock_mono(&wm_clock_system);
    assert_int_equal(wm_thread_start(&thread, "sleeper", sleep_until_stopped, &s, NULL), WM_OK);
    wm_stop_request(&s.stop);
    WM_PTOK(pthread_join(thread, NULL));
    assert_true(s.stopped);
    assert_true(elapsed_ms(began) < 30000); /* not by the end of its time */
    assert_true(wm_stop_requested(&s.stop));
    assert_true(wm_stop_wait_ms(&s.stop, 60000)); /* at once from now on */
    assert_int_equal(sigismember(&s.blocked, SIGTERM), 1); /* signals are main's business */
    wm_stop_done(&s.stop);
}

static void waits_end_by_themselves(void **state)
{
    (void)state;
    struct wm_stop stop;
    wm_stop_init(&stop);
    struct wm_mono_ns began = wm_clock_mono(&wm_clock_system);
    assert_false(wm_stop_wait_ms(&stop, 20));
    assert_true(elapsed_ms(began) >= 20);
    assert_false(wm_stop_wait_ms(&stop, 0));
    wm_stop_done(&stop);

    struct wm_mutex mu;
    struct wm_cond cond;
    wm_mutex_init(&mu);
    wm_cond_init(&cond);
    wm_mutex_lock(&mu);
    assert_false(wm_cond_wait_ms(&cond, &mu, 1));
    wm_mutex_assert_held(&mu); /* taken back */
    wm_mutex_unlock(&mu);
    wm_cond_done(&cond);
    wm_mutex_done(&mu);
}

static void assertions_end_the_process(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct wm_mutex mu;
        signal(SIGABRT, SIG_DFL); /* cmocka catches it */
        close(STDERR_FILENO);
        wm_mutex_init(&mu);
        wm_mutex_assert_held(&mu);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_wakes_a_sleeping_thread),
        cmocka_unit_test(waits_end_by_themselves),
        cmocka_unit_test(assertions_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
