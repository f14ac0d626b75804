/*
 * fencekit: fencing for high-availability clusters.
 *
 * A false "it is off" destroys data, a false "it is on" only delays a failover: FENCEKIT_RESULT_OK is the only success,
 * and nothing else says that anything is off.
 *
 * Conventions (docs/c-api.md explains them):
 *  - Pointers must be valid, and may be NULL only where a comment says so; a NULL elsewhere gets a result.
 *  - Texts are UTF-8 and end with a NUL. Those that a function returns belong to the handle that they come from.
 *  - Results are written with FENCEKIT_RESULT_OK alone, unless a comment says otherwise. `error` may be NULL; else a failed
 *    call writes an error there, to be freed with fencekit_error_free, and one that succeeds leaves it as it is.
 *  - `timeout_ms` is the limit of the whole call, in milliseconds. 0 leaves no time for anything; more than a day counts
 *    as a day.
 *  - Every call ends on the thread that made it. fencekit starts no threads, but for the lookup of a host name
 *    and for reading a password file or the output of a program that prints a password.
 *  - A handle that was freed, or is of another type, gets FENCEKIT_RESULT_INVALID_HANDLE.
 *
 * Made by `cargo xtask header`. Do not edit.
 */

#ifndef FENCEKIT_H
#define FENCEKIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of this header; fencekit_version() is that of the library that runs. */
#define FENCEKIT_VERSION "0.1.0"
#define FENCEKIT_VERSION_MAJOR 0
#define FENCEKIT_VERSION_MINOR 1
#define FENCEKIT_VERSION_PATCH 0
#define FENCEKIT_VERSION_NUMBER 1000

/**
 * How a call ended. Only `FENCEKIT_RESULT_OK` is a success. The numbers keep their meaning for ever; new ones come
 * into the gaps, so a program treats a number that it does not know as a failure.
 */
enum fencekit_result
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Done, and confirmed where it switches something.
   */
  FENCEKIT_RESULT_OK = 0,
  /**
   * A pointer that must not be NULL was NULL.
   */
  FENCEKIT_RESULT_NULL_ARGUMENT = 100,
  /**
   * The handle is not alive: freed already, of another type, or no handle at all.
   */
  FENCEKIT_RESULT_INVALID_HANDLE = 110,
  /**
   * A text is not UTF-8.
   */
  FENCEKIT_RESULT_INVALID_UTF8 = 120,
  /**
   * An argument has a value that it cannot have.
   */
  FENCEKIT_RESULT_INVALID_ARGUMENT = 130,
  /**
   * There is nothing at this index.
   */
  FENCEKIT_RESULT_OUT_OF_RANGE = 140,
  /**
   * Called from the log callback, which must not start another call that talks to devices.
   */
  FENCEKIT_RESULT_REENTERED = 150,
  /**
   * An option, or a line of the cluster file, is wrong. Nothing was sent to any device.
   */
  FENCEKIT_RESULT_CONFIG = 200,
  /**
   * This device, or this build, cannot do it.
   */
  FENCEKIT_RESULT_UNSUPPORTED = 210,
  /**
   * No connection to the device.
   */
  FENCEKIT_RESULT_UNREACHABLE = 300,
  /**
   * The deadline came first. The device may or may not have acted.
   */
  FENCEKIT_RESULT_TIMEOUT = 310,
  /**
   * The device refuses the credentials.
   */
  FENCEKIT_RESULT_AUTHENTICATION = 320,
  /**
   * The device's reply cannot be understood.
   */
  FENCEKIT_RESULT_PROTOCOL = 330,
  /**
   * The device said that it did not do it.
   */
  FENCEKIT_RESULT_REFUSED = 340,
  /**
   * Another device answers at this address. Nothing was switched.
   */
  FENCEKIT_RESULT_WRONG_DEVICE = 350,
  /**
   * The state was not seen in time. The device may or may not have acted.
   */
  FENCEKIT_RESULT_NOT_CONFIRMED = 360,
  /**
   * The device answered, but not whether its outlet is on or off.
   */
  FENCEKIT_RESULT_STATE_UNKNOWN = 370,
  /**
   * A reboot's off was confirmed, its on was not: the node is fenced, and still off.
   */
  FENCEKIT_RESULT_STILL_OFF = 380,
  /**
   * A verification saw the node alive.
   */
  FENCEKIT_RESULT_STILL_ALIVE = 400,
  /**
   * A verification could not tell. Treat the node as alive. Or an examination could not.
   */
  FENCEKIT_RESULT_INCONCLUSIVE = 410,
  /**
   * An examination found that the fencing is not to be relied on.
   */
  FENCEKIT_RESULT_PROBLEMS = 420,
  /**
   * The system did not give what a call needs, such as a file descriptor.
   */
  FENCEKIT_RESULT_SYSTEM = 500,
  /**
   * A fault in fencekit itself, caught at the boundary. Whatever the call was to do may or may not be done.
   */
  FENCEKIT_RESULT_PANIC = 900,
  /**
   * A failure that this version has no number for.
   */
  FENCEKIT_RESULT_INTERNAL = 910,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fencekit_result fencekit_result;
#else
typedef uint32_t fencekit_result;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether an outlet is on.
 */
enum fencekit_power
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Not known. Never take it for off.
   */
  FENCEKIT_POWER_UNKNOWN = 0,
  /**
   * On.
   */
  FENCEKIT_POWER_ON = 1,
  /**
   * Off.
   */
  FENCEKIT_POWER_OFF = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fencekit_power fencekit_power;
#else
typedef uint32_t fencekit_power;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What the evidence amounts to.
 */
enum fencekit_verdict
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It cannot be told. Treat the node as alive.
   */
  FENCEKIT_VERDICT_INCONCLUSIVE = 0,
  /**
   * A device says on, or the node answered.
   */
  FENCEKIT_VERDICT_STILL_ALIVE = 1,
  /**
   * The node is dead: every device says off, and every network was silent although an answer would have been heard.
   */
  FENCEKIT_VERDICT_CONFIRMED_OFF = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fencekit_verdict fencekit_verdict;
#else
typedef uint32_t fencekit_verdict;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Where a piece of evidence comes from.
 */
enum fencekit_probe
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * A fence device, asked for its outlet.
   */
  FENCEKIT_PROBE_POWER = 1,
  /**
   * The meter of a fence device.
   */
  FENCEKIT_PROBE_METER = 2,
  /**
   * Echo requests to an address of the node.
   */
  FENCEKIT_PROBE_ICMP = 3,
  /**
   * TCP connections to a port of the node. Accepted or refused, both are life.
   */
  FENCEKIT_PROBE_TCP = 4,
  /**
   * Address resolution (ARP or NDP) of the node on a directly connected network.
   */
  FENCEKIT_PROBE_NEIGHBOUR = 5,
  /**
   * The observer's own way to the network. Only a broken one becomes evidence.
   */
  FENCEKIT_PROBE_PATH = 6,
  /**
   * Somebody else on the network, who shows that the observer could have heard the node.
   */
  FENCEKIT_PROBE_WITNESS = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fencekit_probe fencekit_probe;
#else
typedef uint32_t fencekit_probe;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a probe showed.
 */
enum fencekit_outcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The probe itself failed. It shows nothing, neither off nor silent.
   */
  FENCEKIT_OUTCOME_UNKNOWN = 0,
  /**
   * Power: the device says off.
   */
  FENCEKIT_OUTCOME_OFF = 1,
  /**
   * Power: the device says on.
   */
  FENCEKIT_OUTCOME_ON = 2,
  /**
   * Meter: the draw is at most the threshold.
   */
  FENCEKIT_OUTCOME_BELOW = 3,
  /**
   * Meter: the draw is above the threshold.
   */
  FENCEKIT_OUTCOME_ABOVE = 4,
  /**
   * Network: every probe was sent, and none was answered.
   */
  FENCEKIT_OUTCOME_SILENT = 5,
  /**
   * Network: at least one probe was answered.
   */
  FENCEKIT_OUTCOME_ANSWERED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fencekit_outcome fencekit_outcome;
#else
typedef uint32_t fencekit_outcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How much a line of the log matters. Each level includes those before it.
 */
enum fencekit_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing.
   */
  FENCEKIT_LOG_LEVEL_OFF = 0,
  /**
   * Something failed.
   */
  FENCEKIT_LOG_LEVEL_ERROR = 1,
  /**
   * Something may go wrong, such as a password file that others can read.
   */
  FENCEKIT_LOG_LEVEL_WARNING = 2,
  /**
   * What was done.
   */
  FENCEKIT_LOG_LEVEL_INFO = 3,
  /**
   * Every step.
   */
  FENCEKIT_LOG_LEVEL_DEBUG = 4,
  /**
   * What goes over the wire, without secrets.
   */
  FENCEKIT_LOG_LEVEL_TRACE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fencekit_log_level fencekit_log_level;
#else
typedef uint32_t fencekit_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A cluster file: which devices cut which node's power, and how a fenced node is proven dead. Freed with
 * `fencekit_cluster_free`.
 *
 * Threads: a cluster never changes; any number of threads may call it at once. It may be used on both sides of a fork.
 */
typedef struct fencekit_cluster fencekit_cluster;

/**
 * A fence device: how to reach one outlet, and what it takes to believe it. It holds no connection. Freed with
 * `fencekit_device_free`.
 *
 * Threads: a device never changes; any number of threads may call it at once. Their conversations with the device
 * itself take turns, since plugs serve one client at a time. It may be used on both sides of a fork.
 */
typedef struct fencekit_device fencekit_device;

/**
 * What an examination found. Freed with `fencekit_diagnosis_free`.
 *
 * Threads: it never changes; any number of threads may read it at once, and whoever frees it must be the last.
 */
typedef struct fencekit_diagnosis fencekit_diagnosis;

/**
 * What went wrong. Made by a call that failed, when it was given a place for it; freed with `fencekit_error_free`.
 *
 * Threads: an error never changes. Any number of threads may read it at once; whoever frees it must be the last.
 */
typedef struct fencekit_error fencekit_error;

/**
 * Configuration that was generated. Freed with `fencekit_generated_free`, which wipes its texts from memory.
 *
 * Threads: it never changes; any number of threads may read it at once, and whoever frees it must be the last.
 */
typedef struct fencekit_generated fencekit_generated;

/**
 * Who a device says it is. Freed with `fencekit_identity_free`.
 *
 * Threads: it never changes; any number of threads may read it at once, and whoever frees it must be the last.
 */
typedef struct fencekit_identity fencekit_identity;

/**
 * The outlets of a device at one moment. Freed with `fencekit_outlets_free`.
 *
 * Threads: they never change; any number of threads may read them at once, and whoever frees them must be the last.
 */
typedef struct fencekit_outlets fencekit_outlets;

/**
 * What a verification saw, and what it made of it. Freed with `fencekit_report_free`.
 *
 * Threads: a report never changes; any number of threads may read it at once, and whoever frees it must be the last.
 */
typedef struct fencekit_report fencekit_report;

/**
 * What many devices said of their outlets. Freed with `fencekit_statuses_free`.
 *
 * Threads: they never change; any number of threads may read them at once, and whoever frees them must be the last.
 */
typedef struct fencekit_statuses fencekit_statuses;

/**
 * A function that receives the log: the pointer that was set with it, the level (one of `fencekit_log_level`) and one
 * line of text that lives until it returns.
 *
 * It runs on the thread that called fencekit, during that call, so a program that calls from several threads needs a
 * function that they can run at once. It must return: no exception and no longjmp may leave it. It may free handles and
 * read what they hold; a function that talks to devices returns `FENCEKIT_RESULT_REENTERED` to it.
 */
typedef void (*fencekit_log_callback)(void *userdata, uint32_t level, const char *message);

/**
 * One option of a device: a name that the fence agents have for it, such as `ip`, and its value as a text.
 */
typedef struct {
  /**
   * The name.
   */
  const char *name;
  /**
   * The value.
   */
  const char *value;
} fencekit_option;

/**
 * How an off was confirmed.
 */
typedef struct {
  /**
   * The state before anything was sent.
   */
  fencekit_power before;
  /**
   * How often the command was sent.
   */
  uint32_t commands;
  /**
   * How many looks were taken after it.
   */
  uint32_t looks;
  /**
   * What the meter read afterwards, in watts; NaN when none was asked.
   */
  double watts;
} fencekit_confirmation;

/**
 * One reading of a meter. What the device did not report is NaN, never zero.
 */
typedef struct {
  /**
   * Active power in watts.
   */
  double watts;
  /**
   * Voltage in volts.
   */
  double volts;
  /**
   * Current in amperes.
   */
  double amps;
  /**
   * Energy counter in kilowatt-hours.
   */
  double kilowatt_hours;
} fencekit_power_reading;

/**
 * One outlet. Its texts live as long as the `fencekit_outlets` that it comes from.
 */
typedef struct {
  /**
   * What to give as the option `plug`.
   */
  const char *plug;
  /**
   * The owner's name for it; empty where there is none.
   */
  const char *alias;
  /**
   * Its state.
   */
  fencekit_power power;
} fencekit_outlet;

/**
 * One probe's contribution to a verdict. Its texts live as long as the report.
 */
typedef struct {
  /**
   * Where it comes from.
   */
  fencekit_probe probe;
  /**
   * What was seen.
   */
  fencekit_outcome outcome;
  /**
   * The device's label, or the address that was probed.
   */
  const char *subject;
  /**
   * The network's name; NULL for power and meter.
   */
  const char *network;
  /**
   * The same in words, with the reason when it is unknown.
   */
  const char *detail;
  /**
   * When that was known, in milliseconds since the verification began.
   */
  uint64_t at_ms;
  /**
   * How long the deciding probe took, in milliseconds; for silence, how long was listened.
   */
  uint64_t elapsed_ms;
} fencekit_evidence;

/**
 * What one device said. Its texts live as long as the `fencekit_statuses` that it comes from.
 */
typedef struct {
  /**
   * `FENCEKIT_RESULT_OK` when the state is known, else what `fencekit_device_status` would have returned.
   */
  fencekit_result result;
  /**
   * The state; `FENCEKIT_POWER_UNKNOWN` unless the result is `FENCEKIT_RESULT_OK`.
   */
  fencekit_power power;
  /**
   * The node that it feeds; NULL where devices were asked by themselves.
   */
  const char *node;
  /**
   * The device's label; NULL where a node's devices could not be made.
   */
  const char *device;
  /**
   * Why the state is unknown, one line; NULL when it is known.
   */
  const char *detail;
  /**
   * What its meter reads, in watts, where the same reply said so; else NaN.
   */
  double watts;
  /**
   * How long it took, in milliseconds.
   */
  uint64_t elapsed_ms;
} fencekit_status;

/**
 * A generated file. Its texts live as long as the `fencekit_generated` that it comes from.
 */
typedef struct {
  /**
   * Its path within a directory of your choice; relative, without `..`.
   */
  const char *name;
  /**
   * What is in it.
   */
  const char *text;
  /**
   * Whether it holds secrets: write it readable by its owner alone, and never show it.
   */
  bool secret;
} fencekit_file;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The result of the call that failed; `FENCEKIT_RESULT_INVALID_HANDLE` when this is no error.
 */
fencekit_result fencekit_error_result(const fencekit_error *error);

/**
 * One line that says what happened and what to do next, never with a secret in it. It lives as long as the error;
 * NULL when this is no error.
 */
const char *fencekit_error_message(const fencekit_error *error);

/**
 * The option that is wrong, where the result is `FENCEKIT_RESULT_CONFIG`; else NULL. It lives as long as the error.
 */
const char *fencekit_error_option(const fencekit_error *error);

/**
 * Whether the same call may go well a moment later: no connection, a timeout, a garbled reply.
 */
bool fencekit_error_is_transient(const fencekit_error *error);

/**
 * Frees an error. NULL is fine.
 *
 * Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live error.
 */
fencekit_result fencekit_error_free(fencekit_error *error);

/**
 * A few words for a result, for a log; they live as long as the program. Never NULL, whatever the number.
 */
const char *fencekit_result_text(uint32_t result);

/**
 * The version of the library that runs, as `0.1.0`. `FENCEKIT_VERSION` is that of the header.
 */
const char *fencekit_version(void);

/**
 * The same as one number that grows with every version: major * 1000000 + minor * 1000 + patch.
 * `FENCEKIT_VERSION_NUMBER` is that of the header.
 */
uint32_t fencekit_version_number(void);

/**
 * How many handles the program holds, errors among them. 0 once everything is freed.
 */
size_t fencekit_live_handles(void);

#if defined(FENCEKIT_PANIC_TEST)
/**
 * Panics within, for the tests of the boundary.
 */
fencekit_result fencekit_test_panic(fencekit_error **error);
#endif

/**
 * Sends the log of every call of this process, up to `level` (one of `fencekit_log_level`), to `callback` with
 * `userdata`. Another call replaces the callback; NULL ends the log. Without a callback there is no log: fencekit itself
 * writes nothing to stderr or the system's log.
 *
 * Calls that other threads are in the middle of may call the former callback until they return.
 *
 * Returns `FENCEKIT_RESULT_INVALID_ARGUMENT` for a level that there is not.
 */
fencekit_result fencekit_log_set(fencekit_log_callback callback,
                                 void *userdata,
                                 uint32_t level);

/**
 * Makes a device of a method (`ipmi`, `kasa`, `tasmota`, `esphome` or `http`) and `count` options, which may be NULL for
 * none. The options are those of the method's fence agent, timing and `expect_identity`, `off_max_watts` and
 * `confirm_reads` among them; of one that is given twice the last counts. A `password_file` or `password_script` is read
 * now, which may take ten seconds. Nothing is sent to the device.
 *
 * Returns `FENCEKIT_RESULT_CONFIG` when an option is unknown, wrong or missing, and `FENCEKIT_RESULT_UNSUPPORTED` when
 * this build lacks the method.
 */
fencekit_result fencekit_device_new(const char *method,
                                    const fencekit_option *options,
                                    size_t count,
                                    fencekit_device **device,
                                    fencekit_error **error);

/**
 * Makes a device of a JSON object: `{"method": "kasa", "ip": "10.20.20.202", "off_max_watts": 5}`. Besides `method` its
 * keys are the options of `fencekit_device_new`; values are texts and numbers, and true or false where the option is a
 * yes or no.
 *
 * Returns `FENCEKIT_RESULT_CONFIG` for a text that is no such object too.
 */
fencekit_result fencekit_device_from_json(const char *json,
                                          fencekit_device **device,
                                          fencekit_error **error);

/**
 * How the device is called in messages: method, address and outlet, never a secret. It lives as long as the device;
 * NULL when this is none.
 */
const char *fencekit_device_label(const fencekit_device *device);

/**
 * Asks the device for the state of its outlet, and for its identity where one is expected. With success the state is
 * `FENCEKIT_POWER_ON` or `FENCEKIT_POWER_OFF`; it takes at most `timeout_ms` milliseconds.
 *
 * Returns `FENCEKIT_RESULT_STATE_UNKNOWN` when the device answers without telling, and any result from
 * `FENCEKIT_RESULT_UNREACHABLE` to `FENCEKIT_RESULT_WRONG_DEVICE`. None of them is evidence of a state.
 */
fencekit_result fencekit_device_status(const fencekit_device *device,
                                       uint32_t timeout_ms,
                                       fencekit_power *power,
                                       fencekit_error **error);

/**
 * Switches the outlet off and returns success once that is confirmed: the expected device answered, it accepted the
 * command, and freshly asked it says off, as does its meter where `off_max_watts` is set. It takes at most `timeout_ms`
 * milliseconds.
 *
 * There is no off without a confirmation. `fencekit_device_off_confirmed` does the very same and says how.
 *
 * After any other result nothing is known of the outlet, except that nothing was switched after
 * `FENCEKIT_RESULT_WRONG_DEVICE`, `FENCEKIT_RESULT_AUTHENTICATION` and every result below 300.
 */
fencekit_result fencekit_device_off(const fencekit_device *device,
                                    uint32_t timeout_ms,
                                    fencekit_error **error);

/**
 * As `fencekit_device_off`, and writes how the off was confirmed.
 */
fencekit_result fencekit_device_off_confirmed(const fencekit_device *device,
                                              uint32_t timeout_ms,
                                              fencekit_confirmation *confirmation,
                                              fencekit_error **error);

/**
 * Switches the outlet on and returns success once the device, freshly asked, says on. It takes at most `timeout_ms`
 * milliseconds.
 *
 * Returns what `fencekit_device_off` returns.
 */
fencekit_result fencekit_device_on(const fencekit_device *device,
                                   uint32_t timeout_ms,
                                   fencekit_error **error);

/**
 * Switches the outlet off as `fencekit_device_off` does, leaves it off for five seconds, and switches it on. It takes at
 * most `timeout_ms` milliseconds.
 *
 * Returns `FENCEKIT_RESULT_STILL_OFF` when the off was confirmed and the on was not: whoever fences has what it needs.
 */
fencekit_result fencekit_device_reboot(const fencekit_device *device,
                                       uint32_t timeout_ms,
                                       fencekit_error **error);

/**
 * Lists the outlets of the device, whichever is configured. It takes at most `timeout_ms` milliseconds.
 *
 * Returns what `fencekit_device_status` returns.
 */
fencekit_result fencekit_device_outlets(const fencekit_device *device,
                                        uint32_t timeout_ms,
                                        fencekit_outlets **outlets,
                                        fencekit_error **error);

/**
 * Reads the outlet's meter. It takes at most `timeout_ms` milliseconds.
 *
 * Returns `FENCEKIT_RESULT_UNSUPPORTED` where there is no meter, and what `fencekit_device_status` returns.
 */
fencekit_result fencekit_device_power_reading(const fencekit_device *device,
                                              uint32_t timeout_ms,
                                              fencekit_power_reading *reading,
                                              fencekit_error **error);

/**
 * Asks the device who it is. It takes at most `timeout_ms` milliseconds.
 *
 * Returns `FENCEKIT_RESULT_UNSUPPORTED` where the protocol has no answer, and what `fencekit_device_status` returns.
 */
fencekit_result fencekit_device_identity(const fencekit_device *device,
                                         uint32_t timeout_ms,
                                         fencekit_identity **identity,
                                         fencekit_error **error);

/**
 * Frees a device. NULL is fine. A call that another thread is in the middle of goes on to its end.
 *
 * Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live device.
 */
fencekit_result fencekit_device_free(fencekit_device *device);

/**
 * How many outlets there are; 0 when these are no outlets.
 */
size_t fencekit_outlets_count(const fencekit_outlets *outlets);

/**
 * One outlet, counted from 0.
 *
 * Returns `FENCEKIT_RESULT_OUT_OF_RANGE` past the last one.
 */
fencekit_result fencekit_outlets_get(const fencekit_outlets *outlets,
                                     size_t index,
                                     fencekit_outlet *outlet);

/**
 * Frees outlets. NULL is fine.
 *
 * Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when they are no live outlets.
 */
fencekit_result fencekit_outlets_free(fencekit_outlets *outlets);

/**
 * The MAC address as the device writes it. NULL when it reports none, or when this is no identity. It lives as long as
 * the identity, as do the others.
 */
const char *fencekit_identity_mac(const fencekit_identity *identity);

/**
 * The maker's device id, or NULL.
 */
const char *fencekit_identity_device_id(const fencekit_identity *identity);

/**
 * The BMC's GUID, or NULL.
 */
const char *fencekit_identity_guid(const fencekit_identity *identity);

/**
 * The name or alias that the owner gave it, or NULL.
 */
const char *fencekit_identity_name(const fencekit_identity *identity);

/**
 * The model, or NULL.
 */
const char *fencekit_identity_model(const fencekit_identity *identity);

/**
 * The version of the firmware, or NULL.
 */
const char *fencekit_identity_firmware(const fencekit_identity *identity);

/**
 * Frees an identity. NULL is fine.
 *
 * Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live identity.
 */
fencekit_result fencekit_identity_free(fencekit_identity *identity);

/**
 * Reads a cluster file, YAML or JSON, at most 4 MiB. Password files that it names are read when a device is needed.
 *
 * Returns `FENCEKIT_RESULT_CONFIG` when it cannot be read and for everything that is wrong with it; the error names line
 * and column.
 */
fencekit_result fencekit_cluster_load(const char *path,
                                      fencekit_cluster **cluster,
                                      fencekit_error **error);

/**
 * Reads the text of a cluster file. Relative paths in it count from the current directory.
 *
 * Returns what `fencekit_cluster_load` returns.
 */
fencekit_result fencekit_cluster_from_text(const char *text, fencekit_cluster **cluster, fencekit_error **error);

/**
 * How many nodes there are; 0 when this is no cluster.
 */
size_t fencekit_cluster_node_count(const fencekit_cluster *cluster);

/**
 * A node's name, counted from 0 in the file's order; NULL past the last one, or when this is no cluster. It lives as long
 * as the cluster.
 */
const char *fencekit_cluster_node(const fencekit_cluster *cluster,
                                  size_t index);

/**
 * How many things in the file are valid but deserve a word, such as a password that everybody can read; 0 when this is
 * no cluster.
 */
size_t fencekit_cluster_warning_count(const fencekit_cluster *cluster);

/**
 * One of these, a line, counted from 0; NULL past the last one. It lives as long as the cluster.
 */
const char *fencekit_cluster_warning(const fencekit_cluster *cluster, size_t index);

/**
 * How many devices feed a node; 0 for a name that the cluster does not have.
 */
size_t fencekit_cluster_device_count(const fencekit_cluster *cluster, const char *node);

/**
 * Makes a device of one of a node's entries, counted from 0 in the file's order. Its password is read now,
 * which may take ten seconds. The device stays when the cluster is freed.
 *
 * Returns `FENCEKIT_RESULT_CONFIG` for a name that the cluster does not have and for a password that cannot be read, and
 * `FENCEKIT_RESULT_OUT_OF_RANGE` past the last device.
 */
fencekit_result fencekit_cluster_device(const fencekit_cluster *cluster,
                                        const char *node,
                                        size_t index,
                                        fencekit_device **device,
                                        fencekit_error **error);

/**
 * Switches every device of a node off and returns success once each is confirmed, as `fencekit_device_off` does; or once its
 * fallback is, which is tried when they cannot all be confirmed within half of the time. A device that says on after that
 * contradicts it, and nothing is confirmed then. It takes at most `timeout_ms` milliseconds. This proves the outlets off; that the node is dead, `fencekit_cluster_fence` proves.
 *
 * Returns what `fencekit_device_off` returns, for the first device that is not confirmed, and `FENCEKIT_RESULT_CONFIG` for
 * a name that the cluster does not have.
 */
fencekit_result fencekit_cluster_off(const fencekit_cluster *cluster,
                                     const char *node,
                                     uint32_t timeout_ms,
                                     fencekit_error **error);

/**
 * Switches every device of a node on, its fallback first, and returns success once each says on. It takes at most `timeout_ms` milliseconds.
 *
 * Returns what `fencekit_cluster_off` returns.
 */
fencekit_result fencekit_cluster_on(const fencekit_cluster *cluster,
                                    const char *node,
                                    uint32_t timeout_ms,
                                    fencekit_error **error);

/**
 * Switches a node off as `fencekit_cluster_off` does, leaves it off for five seconds, and switches on what was switched off.
 * Nothing is switched on unless the off was confirmed. It takes at most `timeout_ms` milliseconds.
 *
 * Returns `FENCEKIT_RESULT_STILL_OFF` when every off was confirmed and an on was not, else what `fencekit_cluster_off`
 * returns.
 */
fencekit_result fencekit_cluster_reboot(const fencekit_cluster *cluster,
                                        const char *node,
                                        uint32_t timeout_ms,
                                        fencekit_error **error);

/**
 * Tells whether a node is dead: watches its devices and every address of it for the file's `verify.wait` (ten seconds
 * when left out) and at most ten seconds more, or until the first sign of life. Switches nothing.
 *
 * Returns `FENCEKIT_RESULT_OK` when the node is proven dead and for nothing else. `FENCEKIT_RESULT_STILL_ALIVE` and
 * `FENCEKIT_RESULT_INCONCLUSIVE` come with a report too, which is then to be freed like any other: for these two results
 * alone `report` is written without a success. `FENCEKIT_RESULT_INVALID_ARGUMENT` when `timeout_ms` is shorter than the
 * window, `FENCEKIT_RESULT_TIMEOUT` when it ends before there is a verdict, and `FENCEKIT_RESULT_CONFIG` for a name that
 * the cluster does not have.
 */
fencekit_result fencekit_cluster_verify(const fencekit_cluster *cluster,
                                        const char *node,
                                        uint32_t timeout_ms,
                                        fencekit_report **report,
                                        fencekit_error **error);

/**
 * Fences a node: switches every device of it off, each confirmed, and then watches it to a verdict as
 * `fencekit_cluster_verify` does. Its fallback is tried when the others are not confirmed off within half of the time, or
 * the node is seen alive all the same; `level` in the report's JSON tells which level did it. The verdict is sought even when an off was not confirmed, and it alone decides.
 * `timeout_ms` is for both together: the window of the verification, ten seconds unless the file says otherwise, is kept
 * free for it.
 *
 * Returns what `fencekit_cluster_verify` returns, with a report in the same cases. Before
 * `FENCEKIT_RESULT_INVALID_ARGUMENT` nothing was switched; after any other failure the node may be on or off.
 */
fencekit_result fencekit_cluster_fence(const fencekit_cluster *cluster,
                                       const char *node,
                                       uint32_t timeout_ms,
                                       fencekit_report **report,
                                       fencekit_error **error);

/**
 * Frees a cluster. NULL is fine.
 *
 * Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live cluster.
 */
fencekit_result fencekit_cluster_free(fencekit_cluster *cluster);

/**
 * The verdict; `FENCEKIT_VERDICT_INCONCLUSIVE` when this is no report.
 */
fencekit_verdict fencekit_report_verdict(const fencekit_report *report);

/**
 * The node's name, NULL when this is no report. It lives as long as the report, as do the other texts.
 */
const char *fencekit_report_node(const fencekit_report *report);

/**
 * How long the verification took, in milliseconds; 0 when this is no report.
 */
uint64_t fencekit_report_elapsed_ms(const fencekit_report *report);

/**
 * How many reasons there are; 0 when this is no report.
 */
size_t fencekit_report_reason_count(const fencekit_report *report);

/**
 * What speaks for the verdict, or against a confirmation, a line each and the most important first, counted from 0; NULL
 * past the last one.
 */
const char *fencekit_report_reason(const fencekit_report *report,
                                   size_t index);

/**
 * How many pieces of evidence there are; 0 when this is no report.
 */
size_t fencekit_report_evidence_count(const fencekit_report *report);

/**
 * One piece of evidence, counted from 0.
 *
 * Returns `FENCEKIT_RESULT_OUT_OF_RANGE` past the last one.
 */
fencekit_result fencekit_report_evidence(const fencekit_report *report,
                                         size_t index,
                                         fencekit_evidence *evidence);

/**
 * The whole report as the JSON document that `fencekit verify --json` or `fencekit fence --json` prints; NULL when this is
 * no report.
 */
const char *fencekit_report_json(const fencekit_report *report);

/**
 * Frees a report. NULL is fine.
 *
 * Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live report.
 */
fencekit_result fencekit_report_free(fencekit_report *report);

/**
 * Asks `count` devices for their state, side by side on this thread; outlets of one device take turns. All of it takes at
 * most `timeout_ms` milliseconds. The statuses come in the order of the devices.
 *
 * Returns success once every device was asked, whatever each of them said: that is in its status.
 * `FENCEKIT_RESULT_INVALID_HANDLE` when one of the devices is no live device; nothing was asked then.
 */
fencekit_result fencekit_devices_status(const fencekit_device *const *devices,
                                        size_t count,
                                        uint32_t timeout_ms,
                                        fencekit_statuses **statuses,
                                        fencekit_error **error);

/**
 * Asks every device of a node for its state, or of all nodes when `node` is NULL, as `fencekit_devices_status` does. The
 * statuses come in the file's order. A node whose devices cannot be made, for want of a password file perhaps, has one
 * status that says so.
 *
 * Returns `FENCEKIT_RESULT_CONFIG` for a name that the cluster does not have.
 */
fencekit_result fencekit_cluster_status(const fencekit_cluster *cluster,
                                        const char *node,
                                        uint32_t timeout_ms,
                                        fencekit_statuses **statuses,
                                        fencekit_error **error);

/**
 * How many statuses there are; 0 when these are no statuses.
 */
size_t fencekit_statuses_count(const fencekit_statuses *statuses);

/**
 * One status, counted from 0.
 *
 * Returns `FENCEKIT_RESULT_OUT_OF_RANGE` past the last one.
 */
fencekit_result fencekit_statuses_get(const fencekit_statuses *statuses,
                                      size_t index,
                                      fencekit_status *status);

/**
 * All statuses as a JSON list of objects; NULL when these are no statuses. It lives as long as they do.
 */
const char *fencekit_statuses_json(const fencekit_statuses *statuses);

/**
 * Frees statuses. NULL is fine.
 *
 * Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when they are no live statuses.
 */
fencekit_result fencekit_statuses_free(fencekit_statuses *statuses);

/**
 * Makes configuration of one kind (`pcs`, `crmsh`, `cib`, `ha-cluster`, `esphome`, `tasmota`, or another that
 * `fencekit generate --help` names). `file` is where the cluster's nodes have the cluster file, for texts that name it;
 * NULL for where this one was loaded from, or else `/etc/fencekit/cluster.yml`. Nothing is sent to any device. Programs that
 * print passwords may take ten seconds each; `fencekit_cluster_generate_with` has a limit for them.
 *
 * Returns `FENCEKIT_RESULT_CONFIG` for a kind that there is not and for what it cannot carry.
 */
fencekit_result fencekit_cluster_generate(const fencekit_cluster *cluster,
                                          const char *kind,
                                          const char *file,
                                          fencekit_generated **generated,
                                          fencekit_error **error);

/**
 * As `fencekit_cluster_generate`, with `count` options, which may be NULL for none, and within `timeout_ms` milliseconds,
 * which bound the programs that print passwords (`esphome`, `tasmota`) and the look-up of names.
 * The options are `file`; `node`, the node that the text is for (`nftables`); `ntp_server`, the address of a time server
 * that the devices reach (`nftables`, `tasmota`); `secrets_file`, the name that the text has for the file with the passwords
 * (`tasmota`); and `resolve`, with `1` to look up, once and now, the addresses of devices that the cluster file names
 * (`nftables`). Nothing is sent to any device.
 *
 * Returns `FENCEKIT_RESULT_CONFIG` for an option that there is not too, and `FENCEKIT_RESULT_TIMEOUT`.
 */
fencekit_result fencekit_cluster_generate_with(const fencekit_cluster *cluster,
                                               const char *kind,
                                               const fencekit_option *options,
                                               size_t count,
                                               uint32_t timeout_ms,
                                               fencekit_generated **generated,
                                               fencekit_error **error);

/**
 * The whole text, or every file of it that is not secret; NULL when this is no generated configuration. It lives as long
 * as that.
 */
const char *fencekit_generated_text(const fencekit_generated *generated);

/**
 * Whether the text holds passwords: then it is for its owner's eyes alone. True when this is no generated configuration.
 */
bool fencekit_generated_holds_secrets(const fencekit_generated *generated);

/**
 * How many notes there are on what the user must know or do; 0 when this is no generated configuration.
 */
size_t fencekit_generated_note_count(const fencekit_generated *generated);

/**
 * One note, a line, counted from 0; NULL past the last one. It lives as long as the generated configuration.
 */
const char *fencekit_generated_note(const fencekit_generated *generated, size_t index);

/**
 * How many files there are; 0 where the text is everything, or when this is no generated configuration.
 */
size_t fencekit_generated_file_count(const fencekit_generated *generated);

/**
 * One file, counted from 0.
 *
 * Returns `FENCEKIT_RESULT_OUT_OF_RANGE` past the last one.
 */
fencekit_result fencekit_generated_file(const fencekit_generated *generated,
                                        size_t index,
                                        fencekit_file *file);

/**
 * Frees generated configuration. NULL is fine.
 *
 * Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live one.
 */
fencekit_result fencekit_generated_free(fencekit_generated *generated);

/**
 * Examines the fencing of a node, or of all nodes when `node` is NULL: every device reached, logged in, identified, on
 * and metered, the wiring, the networks, this host. It takes at most `timeout_ms` milliseconds. Switches nothing.
 *
 * Returns `FENCEKIT_RESULT_OK` when there is nothing to mend. `FENCEKIT_RESULT_PROBLEMS` when the fencing is not to be
 * relied on, and `FENCEKIT_RESULT_INCONCLUSIVE` when something could not be examined, come with a diagnosis too, which is
 * then to be freed like any other. `FENCEKIT_RESULT_TIMEOUT` when the time was too short for one, and
 * `FENCEKIT_RESULT_CONFIG` for a name that the cluster does not have.
 */
fencekit_result fencekit_cluster_doctor(const fencekit_cluster *cluster,
                                        const char *node,
                                        uint32_t timeout_ms,
                                        fencekit_diagnosis **diagnosis,
                                        fencekit_error **error);

/**
 * How many findings there are, good ones among them; 0 when this is no diagnosis.
 */
size_t fencekit_diagnosis_count(const fencekit_diagnosis *diagnosis);

/**
 * The whole diagnosis as the JSON document that `fencekit doctor --json` prints; NULL when this is no diagnosis. It lives
 * as long as that.
 */
const char *fencekit_diagnosis_json(const fencekit_diagnosis *diagnosis);

/**
 * Frees a diagnosis. NULL is fine.
 *
 * Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live diagnosis.
 */
fencekit_result fencekit_diagnosis_free(fencekit_diagnosis *diagnosis);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FENCEKIT_H */
