/* One hidden layer and one output unit, trained by full-batch gradient descent in one pass over the examples: what a
   compiled kernel reaches that writes no array of activations out. A measured prototype (make bench), not a second core.

   REAL, INPUTS and ACTIVATION are given by fused.py. theta holds each network as nnlab.Parameters does: INPUTS weights
   and the bias of every hidden unit, then the outgoing weights and the output's bias. */
#include <math.h>

enum { BLOCK = 64 };

#if ACTIVATION == 0
#define VALUE(z) TANH(z)
#define SLOPE(a) ((REAL)1 - (a) * (a))
#elif ACTIVATION == 1
#define VALUE(z) ((z) > 0 ? (z) : 0)
#define SLOPE(a) ((a) > 0 ? (REAL)1 : (REAL)0)
#else
#define VALUE(z) ((REAL)1 / ((REAL)1 + EXP(-(z))))
#define SLOPE(a) ((a) - (a) * (a))
#endif

static void one_iteration(int h, int m, REAL step, const REAL *X, const REAL *sign, REAL *theta, REAL *gradient,
                          REAL *restrict A)
{
    const int width = INPUTS + 1, parameters = h * width + h + 1;
    const REAL *out = theta + h * width;
    REAL *d_out = gradient + h * width;
    for (int p = 0; p < parameters; p++)
        gradient[p] = 0;
    for (int start = 0; start < m; start += BLOCK) {
        const int n = m - start < BLOCK ? m - start : BLOCK;
        REAL dz[BLOCK], total = 0;
        for (int i = 0; i < n; i++)
            dz[i] = out[h];
        for (int j = 0; j < h; j++) {
            const REAL *w = theta + j * width, outgoing = out[j];
            REAL *a = A + j * BLOCK;
#pragma omp simd
            for (int i = 0; i < n; i++) {
                REAL z = w[INPUTS];
                for (int k = 0; k < INPUTS; k++)
                    z += w[k] * X[k * m + start + i];
                a[i] = VALUE(z);
                dz[i] += outgoing * a[i];
            }
        }
#pragma omp simd reduction(+ : total)
        for (int i = 0; i < n; i++) {
            const REAL t = sign[start + i];
            dz[i] = t / ((REAL)1 + EXP(-t * dz[i]));
            total += dz[i];
        }
        d_out[h] += total;
        for (int j = 0; j < h; j++) {
            const REAL *a = A + j * BLOCK;
            REAL d_outgoing = 0, db = 0, dw[INPUTS] = {0};
#pragma omp simd reduction(+ : d_outgoing, db, dw)
            for (int i = 0; i < n; i++) {
                const REAL signal = SLOPE(a[i]) * dz[i];
                d_outgoing += a[i] * dz[i];
                db += signal;
                for (int k = 0; k < INPUTS; k++)
                    dw[k] += signal * X[k * m + start + i];
            }
            d_out[j] += d_outgoing;
            for (int k = 0; k < INPUTS; k++)
                gradient[j * width + k] += out[j] * dw[k];
            gradient[j * width + INPUTS] += out[j] * db;
        }
    }
    for (int p = 0; p < parameters; p++)
        theta[p] -= step * gradient[p];
}

/* step is the learning rate divided by m; gradient and A (h x BLOCK) are memory to work in. */
void train(int runs, int h, int m, int iterations, REAL step, const REAL *X, const REAL *sign, REAL *theta,
           REAL *gradient, REAL *A)
{
    for (int run = 0; run < runs; run++)
        for (int i = 0; i < iterations; i++)
            one_iteration(h, m, step, X, sign, theta + run * (h * (INPUTS + 2) + 1), gradient, A);
}

int block(void) { return BLOCK; }
