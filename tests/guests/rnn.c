/* h' = tanh(x W + h U + b) and its gradients, row-major doubles: n rows, f features, s units. */
#include <math.h>

void rnn_forward(int n, int f, int s, const double *x, const double *h, const double *W, const double *U, const double *b,
                 double *out) {
    for (int r = 0; r < n; r++)
        for (int j = 0; j < s; j++) {
            double z = b[j];
            for (int k = 0; k < f; k++) z += x[r * f + k] * W[k * s + j];
            for (int k = 0; k < s; k++) z += h[r * s + k] * U[k * s + j];
            out[r * s + j] = tanh(z);
        }
}

static void backward(int n, int f, int s, const double *x, const double *h, const double *W, const double *U, const double *b,
                     const double *d, double *dx, double *dh, double *dW, double *dU, double *db, int rows_of_b) {
    for (int r = 0; r < n; r++)
        for (int j = 0; j < s; j++) {
            double z = b[j];
            for (int k = 0; k < f; k++) z += x[r * f + k] * W[k * s + j];
            for (int k = 0; k < s; k++) z += h[r * s + k] * U[k * s + j];
            double e = exp(-2 * fabs(z)), dz = d[r * s + j] * 4 * e / ((1 + e) * (1 + e));
            for (int k = 0; k < f; k++) dx[r * f + k] += dz * W[k * s + j], dW[k * s + j] += dz * x[r * f + k];
            for (int k = 0; k < s; k++) dh[r * s + k] += dz * U[k * s + j], dU[k * s + j] += dz * h[r * s + k];
            if (r < rows_of_b) db[j] += dz;
        }
}

void rnn_backward(int n, int f, int s, const double *x, const double *h, const double *W, const double *U, const double *b,
                  const double *d, double *dx, double *dh, double *dW, double *dU, double *db) {
    backward(n, f, s, x, h, W, U, b, d, dx, dh, dW, dU, db, n);
}

/* The defect: the gradient of b is that of the first row. */
void rnn_backward_first_row(int n, int f, int s, const double *x, const double *h, const double *W, const double *U,
                            const double *b, const double *d, double *dx, double *dh, double *dW, double *dU, double *db) {
    backward(n, f, s, x, h, W, U, b, d, dx, dh, dW, dU, db, 1);
}
