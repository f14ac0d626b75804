/*
 * The part of noise-c's interface that ESPHome's native API calls: the responder of
 * Noise_NNpsk0_25519_ChaChaPoly_SHA256 and the ciphers that come of it. Written for these tests over libsodium, so that
 * the real firmware can be compiled for this host without fetching anything while it builds.
 */
#ifndef FENCEKIT_INTEROP_NOISE_PROTOCOL_H
#define FENCEKIT_INTEROP_NOISE_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    NOISE_ERROR_NONE = 0,
    NOISE_ERROR_NO_MEMORY = 1001,
    NOISE_ERROR_UNKNOWN_ID,
    NOISE_ERROR_UNKNOWN_NAME,
    NOISE_ERROR_MAC_FAILURE,
    NOISE_ERROR_NOT_APPLICABLE,
    NOISE_ERROR_SYSTEM,
    NOISE_ERROR_REMOTE_KEY_REQUIRED,
    NOISE_ERROR_LOCAL_KEY_REQUIRED,
    NOISE_ERROR_PSK_REQUIRED,
    NOISE_ERROR_INVALID_LENGTH,
    NOISE_ERROR_INVALID_PARAM,
    NOISE_ERROR_INVALID_STATE,
    NOISE_ERROR_INVALID_NONCE,
    NOISE_ERROR_INVALID_PRIVATE_KEY,
    NOISE_ERROR_INVALID_PUBLIC_KEY,
    NOISE_ERROR_INVALID_FORMAT,
    NOISE_ERROR_INVALID_SIGNATURE
};

enum {
    NOISE_ACTION_NONE = 2001,
    NOISE_ACTION_WRITE_MESSAGE,
    NOISE_ACTION_READ_MESSAGE,
    NOISE_ACTION_FAILED,
    NOISE_ACTION_SPLIT
};

enum { NOISE_ROLE_INITIATOR = 3001, NOISE_ROLE_RESPONDER };

enum {
    NOISE_DH_NONE = 0,
    NOISE_PREFIX_STANDARD = 4001,
    NOISE_PATTERN_NN,
    NOISE_MODIFIER_PSK0,
    NOISE_DH_CURVE25519,
    NOISE_CIPHER_CHACHAPOLY,
    NOISE_HASH_SHA256
};

/* Filled by name in C++, hence in this order. */
typedef struct {
    int prefix_id;
    int pattern_id;
    int modifier_ids[16];
    int dh_id;
    int cipher_id;
    int hash_id;
    int hybrid_id;
    int reserved[8];
} NoiseProtocolId;

typedef struct {
    uint8_t *data;
    size_t size;
    size_t max_size;
} NoiseBuffer;

#define noise_buffer_init(buffer) ((buffer).data = NULL, (buffer).size = 0, (buffer).max_size = 0)
#define noise_buffer_set_input(buffer, bytes, length) \
    ((buffer).data = (bytes), (buffer).size = (length), (buffer).max_size = (length))
#define noise_buffer_set_output(buffer, bytes, room) \
    ((buffer).data = (bytes), (buffer).size = 0, (buffer).max_size = (room))
#define noise_buffer_set_inout(buffer, bytes, length, room) \
    ((buffer).data = (bytes), (buffer).size = (length), (buffer).max_size = (room))

typedef struct NoiseHandshakeState_s NoiseHandshakeState;
typedef struct NoiseCipherState_s NoiseCipherState;

int noise_handshakestate_new_by_id(NoiseHandshakeState **state, const NoiseProtocolId *id, int role);
int noise_handshakestate_set_pre_shared_key(NoiseHandshakeState *state, const uint8_t *key, size_t length);
int noise_handshakestate_set_prologue(NoiseHandshakeState *state, const void *prologue, size_t length);
int noise_handshakestate_set_local_ephemeral(NoiseHandshakeState *state, const uint8_t *private_key,
                                             size_t private_length, const uint8_t *public_key,
                                             size_t public_length);
int noise_handshakestate_start(NoiseHandshakeState *state);
int noise_handshakestate_get_action(const NoiseHandshakeState *state);
int noise_handshakestate_read_message(NoiseHandshakeState *state, NoiseBuffer *message, NoiseBuffer *payload);
int noise_handshakestate_write_message(NoiseHandshakeState *state, NoiseBuffer *message,
                                       const NoiseBuffer *payload);
int noise_handshakestate_split(NoiseHandshakeState *state, NoiseCipherState **send,
                               NoiseCipherState **receive);
int noise_handshakestate_free(NoiseHandshakeState *state);

int noise_cipherstate_encrypt(NoiseCipherState *state, NoiseBuffer *buffer);
int noise_cipherstate_decrypt(NoiseCipherState *state, NoiseBuffer *buffer);
size_t noise_cipherstate_get_mac_length(const NoiseCipherState *state);
int noise_cipherstate_free(NoiseCipherState *state);

#ifdef __cplusplus
}
#endif

#endif
