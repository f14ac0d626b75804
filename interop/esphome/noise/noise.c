/* See protocol.h. Names and order of steps are those of the Noise specification, revision 34. */
#include "protocol.h"

#include <sodium.h>
#include <stdlib.h>

enum { KEY = 32, HASH = 32, TAG = 16, NONCE = 12, LARGEST_HANDSHAKE = 512 };

struct NoiseCipherState_s {
    uint8_t key[KEY];
    uint64_t nonce;
};

struct NoiseHandshakeState_s {
    NoiseCipherState cipher;
    uint8_t chaining_key[HASH];
    uint8_t hash[HASH];
    uint8_t psk[KEY];
    uint8_t ephemeral[KEY];
    uint8_t remote[KEY];
    uint8_t *prologue;
    size_t prologue_length;
    int action;
    int has_psk;
    int has_ephemeral;
};

static void hmac(uint8_t out[HASH], const uint8_t key[HASH], const uint8_t *first, size_t first_length,
                 const uint8_t *second, size_t second_length) {
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, HASH);
    crypto_auth_hmacsha256_update(&state, first, first_length);
    crypto_auth_hmacsha256_update(&state, second, second_length);
    crypto_auth_hmacsha256_final(&state, out);
}

/* HKDF with two or three outputs. */
static void hkdf(const uint8_t chaining_key[HASH], const uint8_t *input, size_t length, uint8_t one[HASH],
                 uint8_t two[HASH], uint8_t *three) {
    static const uint8_t count[] = {1, 2, 3};
    uint8_t temporary[HASH], first[HASH], second[HASH];
    hmac(temporary, chaining_key, input, length, NULL, 0);
    hmac(first, temporary, count, 1, NULL, 0);
    hmac(second, temporary, first, HASH, count + 1, 1);
    if (three != NULL) hmac(three, temporary, second, HASH, count + 2, 1);
    memcpy(one, first, HASH);
    memcpy(two, second, HASH);
}

static void mix_hash(NoiseHandshakeState *state, const uint8_t *bytes, size_t length) {
    crypto_hash_sha256_state hash;
    crypto_hash_sha256_init(&hash);
    crypto_hash_sha256_update(&hash, state->hash, HASH);
    crypto_hash_sha256_update(&hash, bytes, length);
    crypto_hash_sha256_final(&hash, state->hash);
}

static void mix_key(NoiseHandshakeState *state, const uint8_t *input) {
    hkdf(state->chaining_key, input, KEY, state->chaining_key, state->cipher.key, NULL);
    state->cipher.nonce = 0;
}

static void mix_key_and_hash(NoiseHandshakeState *state, const uint8_t *input) {
    uint8_t middle[HASH];
    hkdf(state->chaining_key, input, KEY, state->chaining_key, middle, state->cipher.key);
    mix_hash(state, middle, HASH);
    state->cipher.nonce = 0;
}

/* Four zero bytes, then the counter with its low byte first. */
static void nonce_of(const NoiseCipherState *state, uint8_t nonce[NONCE]) {
    memset(nonce, 0, NONCE);
    for (int at = 0; at < 8; at++) nonce[4 + at] = (uint8_t)(state->nonce >> (8 * at));
}

static size_t seal(NoiseCipherState *state, uint8_t *out, const uint8_t *in, size_t length,
                   const uint8_t *associated, size_t associated_length) {
    uint8_t nonce[NONCE];
    unsigned long long sealed = 0;
    nonce_of(state, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(out, &sealed, in, length, associated, associated_length, NULL,
                                              nonce, state->key);
    state->nonce++;
    return (size_t)sealed;
}

static int open_sealed(NoiseCipherState *state, uint8_t *out, size_t *opened, const uint8_t *in, size_t length,
                       const uint8_t *associated, size_t associated_length) {
    uint8_t nonce[NONCE];
    unsigned long long plain = 0;
    nonce_of(state, nonce);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(out, &plain, NULL, in, length, associated, associated_length,
                                                  nonce, state->key) != 0)
        return NOISE_ERROR_MAC_FAILURE;
    state->nonce++;
    *opened = (size_t)plain;
    return NOISE_ERROR_NONE;
}

int noise_handshakestate_new_by_id(NoiseHandshakeState **out, const NoiseProtocolId *id, int role) {
    (void)id;
    if (role != NOISE_ROLE_RESPONDER) return NOISE_ERROR_NOT_APPLICABLE;
    if (sodium_init() < 0) return NOISE_ERROR_SYSTEM;
    *out = calloc(1, sizeof **out);
    return *out == NULL ? NOISE_ERROR_NO_MEMORY : NOISE_ERROR_NONE;
}

int noise_handshakestate_set_pre_shared_key(NoiseHandshakeState *state, const uint8_t *key, size_t length) {
    if (length != KEY) return NOISE_ERROR_INVALID_LENGTH;
    memcpy(state->psk, key, KEY);
    state->has_psk = 1;
    return NOISE_ERROR_NONE;
}

int noise_handshakestate_set_prologue(NoiseHandshakeState *state, const void *prologue, size_t length) {
    uint8_t *copy = malloc(length == 0 ? 1 : length);
    if (copy == NULL) return NOISE_ERROR_NO_MEMORY;
    memcpy(copy, prologue, length);
    free(state->prologue);
    state->prologue = copy;
    state->prologue_length = length;
    return NOISE_ERROR_NONE;
}

int noise_handshakestate_set_local_ephemeral(NoiseHandshakeState *state, const uint8_t *private_key,
                                             size_t private_length, const uint8_t *public_key,
                                             size_t public_length) {
    (void)public_key;
    (void)public_length;
    if (private_length != KEY) return NOISE_ERROR_INVALID_LENGTH;
    memcpy(state->ephemeral, private_key, KEY);
    state->has_ephemeral = 1;
    return NOISE_ERROR_NONE;
}

int noise_handshakestate_start(NoiseHandshakeState *state) {
    static const char name[] = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
    if (!state->has_psk) return NOISE_ERROR_PSK_REQUIRED;
    /* Longer than a hash, so the hash stands for it. */
    crypto_hash_sha256(state->hash, (const uint8_t *)name, sizeof name - 1);
    memcpy(state->chaining_key, state->hash, HASH);
    mix_hash(state, state->prologue, state->prologue_length);
    state->action = NOISE_ACTION_READ_MESSAGE;
    return NOISE_ERROR_NONE;
}

int noise_handshakestate_get_action(const NoiseHandshakeState *state) { return state->action; }

/* -> psk, e */
int noise_handshakestate_read_message(NoiseHandshakeState *state, NoiseBuffer *message, NoiseBuffer *payload) {
    uint8_t plain[LARGEST_HANDSHAKE];
    size_t length = 0;
    (void)payload;
    if (state->action != NOISE_ACTION_READ_MESSAGE) return NOISE_ERROR_INVALID_STATE;
    state->action = NOISE_ACTION_FAILED;
    if (message->size < KEY + TAG || message->size > LARGEST_HANDSHAKE) return NOISE_ERROR_INVALID_LENGTH;
    mix_key_and_hash(state, state->psk);
    memcpy(state->remote, message->data, KEY);
    mix_hash(state, state->remote, KEY);
    mix_key(state, state->remote);
    const uint8_t *sealed = message->data + KEY;
    size_t sealed_length = message->size - KEY;
    int error = open_sealed(&state->cipher, plain, &length, sealed, sealed_length, state->hash, HASH);
    if (error != NOISE_ERROR_NONE) return error;
    mix_hash(state, sealed, sealed_length);
    state->action = NOISE_ACTION_WRITE_MESSAGE;
    return NOISE_ERROR_NONE;
}

/* <- e, ee */
int noise_handshakestate_write_message(NoiseHandshakeState *state, NoiseBuffer *message,
                                       const NoiseBuffer *payload) {
    uint8_t shared[KEY];
    (void)payload;
    if (state->action != NOISE_ACTION_WRITE_MESSAGE) return NOISE_ERROR_INVALID_STATE;
    state->action = NOISE_ACTION_FAILED;
    if (message->max_size < KEY + TAG) return NOISE_ERROR_INVALID_LENGTH;
    if (!state->has_ephemeral) randombytes_buf(state->ephemeral, KEY);
    crypto_scalarmult_base(message->data, state->ephemeral);
    mix_hash(state, message->data, KEY);
    mix_key(state, message->data);
    if (crypto_scalarmult(shared, state->ephemeral, state->remote) != 0) return NOISE_ERROR_INVALID_PUBLIC_KEY;
    mix_key(state, shared);
    size_t sealed = seal(&state->cipher, message->data + KEY, NULL, 0, state->hash, HASH);
    mix_hash(state, message->data + KEY, sealed);
    message->size = KEY + sealed;
    state->action = NOISE_ACTION_SPLIT;
    return NOISE_ERROR_NONE;
}

int noise_handshakestate_split(NoiseHandshakeState *state, NoiseCipherState **send,
                               NoiseCipherState **receive) {
    if (state->action != NOISE_ACTION_SPLIT) return NOISE_ERROR_INVALID_STATE;
    NoiseCipherState *of_initiator = calloc(1, sizeof *of_initiator);
    NoiseCipherState *of_responder = calloc(1, sizeof *of_responder);
    if (of_initiator == NULL || of_responder == NULL) {
        free(of_initiator);
        free(of_responder);
        return NOISE_ERROR_NO_MEMORY;
    }
    hkdf(state->chaining_key, NULL, 0, of_initiator->key, of_responder->key, NULL);
    *receive = of_initiator;
    *send = of_responder;
    state->action = NOISE_ACTION_NONE;
    return NOISE_ERROR_NONE;
}

int noise_handshakestate_free(NoiseHandshakeState *state) {
    if (state != NULL) {
        free(state->prologue);
        sodium_memzero(state, sizeof *state);
        free(state);
    }
    return NOISE_ERROR_NONE;
}

int noise_cipherstate_encrypt(NoiseCipherState *state, NoiseBuffer *buffer) {
    if (buffer->max_size < buffer->size + TAG) return NOISE_ERROR_INVALID_LENGTH;
    buffer->size = seal(state, buffer->data, buffer->data, buffer->size, NULL, 0);
    return NOISE_ERROR_NONE;
}

int noise_cipherstate_decrypt(NoiseCipherState *state, NoiseBuffer *buffer) {
    if (buffer->size < TAG) return NOISE_ERROR_INVALID_LENGTH;
    return open_sealed(state, buffer->data, &buffer->size, buffer->data, buffer->size, NULL, 0);
}

size_t noise_cipherstate_get_mac_length(const NoiseCipherState *state) {
    (void)state;
    return TAG;
}

int noise_cipherstate_free(NoiseCipherState *state) {
    if (state != NULL) {
        sodium_memzero(state, sizeof *state);
        free(state);
    }
    return NOISE_ERROR_NONE;
}
